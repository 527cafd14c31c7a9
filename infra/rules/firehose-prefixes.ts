/**
 * "`Prefix` can't contain `!{firehose:error-output-type}`. [...] If you specify an expression for `ErrorOutputPrefix`, you
 * must include at least one instance of `!{firehose:error-output-type}`."
 * https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html
 *
 * And an error prefix can only be left out where the prefix has no expression.
 */
import type { Rule } from './rule';
import { at, text } from './template';

const TYPE = '!{firehose:error-output-type}';

export const rule: Rule = {
  check(template) {
    return template.of('AWS::KinesisFirehose::DeliveryStream').flatMap(({ id, properties }) => {
      const to = at(properties, 'ExtendedS3DestinationConfiguration');
      const [prefix, errors] = [text(at(to, 'Prefix') ?? ''), text(at(to, 'ErrorOutputPrefix') ?? '')];
      const wrong: string[] = [];
      if (prefix.includes(TYPE)) wrong.push(`${id}: its prefix may not name the type of an error`);
      if (prefix.includes('!{') && errors === '')
        wrong.push(`${id}: its prefix has an expression, and there is none for errors`);
      if (errors.includes('!{') && !errors.includes(TYPE))
        wrong.push(`${id}: its prefix for errors does not name their type`);
      return wrong;
    });
  },
};
