/**
 * "The value must be an integer from 1 to 3600. The default value is 3600 seconds (1 hour)."
 * https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_cloudformation.CfnCustomResourceProps.html
 *
 * A provider that cannot answer is waited for that long, again when what failed is rolled back. It has a time of its
 * own, in which its function can end.
 */
import type { Rule } from './rule';
import { text } from './template';

export const rule: Rule = {
  check(template) {
    const custom = template.resources.filter(
      ({ type }) => type.startsWith('Custom::') || type === 'AWS::CloudFormation::CustomResource',
    );
    return custom.flatMap(({ id, properties }) => {
      const waits = Number(text(properties['ServiceTimeout']));
      if (!Number.isInteger(waits) || waits < 1 || waits >= 3600)
        return [`${id} is waited for an hour if nobody answers`];
      const runs = Number(text(template.target(properties['ServiceToken'])?.properties['Timeout']));
      return waits > runs ? [] : [`${id} is waited for ${waits} s, while its function may run for ${runs} s`];
    });
  },
};
