/**
 * "Your prefix can't contain the strings `aws`, `amazon`, or `cognito`."
 * https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-domain.html
 *
 * Where a parameter is part of the prefix, its pattern keeps these words out.
 */
import type { Rule } from './rule';
import { text } from './template';

const WORDS = ['aws', 'amazon', 'cognito'];

export const rule: Rule = {
  check(template) {
    return template.of('AWS::Cognito::UserPoolDomain').flatMap(({ id, properties }) => {
      const prefix = text(properties['Domain']);
      const parameters = [...prefix.matchAll(/<([A-Za-z0-9]+)>/g)].map(([, name = '']) => name);
      const open = WORDS.filter((word) =>
        parameters.some((name) => template.pattern(name)?.test(`my${word}`) === true),
      );
      return [...WORDS.filter((word) => prefix.includes(word)), ...open].map(
        (word) => `${id}: its prefix ${prefix} may contain ${word}`,
      );
    });
  },
};
