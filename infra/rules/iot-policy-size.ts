/**
 * "policyDocument must have a minimum length of 1, with a maximum length of 2048, excluding whitespace."
 * https://docs.aws.amazon.com/iot/latest/apireference/API_CreatePolicy.html
 */
import type { Rule } from './rule';
import { at, list, type Value } from './template';

const MOST = 2_048;
/** Most characters of what is only known when it is deployed; a parameter is a topic filter, which IoT bounds. */
const LONGEST: Readonly<Record<string, number>> = { 'AWS::Partition': 10, 'AWS::Region': 14, 'AWS::AccountId': 12 };
const FILTER = 256;

/** How long a value may be as JSON. */
function size(value: Value): number {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value).length;
  if (Array.isArray(value)) return (value as Value[]).reduce<number>((sum, each) => sum + size(each) + 1, 2);
  const ref = at(value, 'Ref');
  if (typeof ref === 'string') return LONGEST[ref] ?? FILTER;
  for (const call of ['Fn::Join', 'Fn::Split']) {
    const inner = at(value, call, 1);
    if (inner !== undefined) return list(inner).reduce<number>((sum, each) => sum + size(each), 0);
  }
  return Object.entries(value).reduce((sum, [key, each]) => sum + key.length + 3 + size(each) + 1, 2);
}

export const rule: Rule = {
  check(template) {
    return template
      .of('AWS::IoT::Policy')
      .map(({ id, properties }) => ({ id, characters: size(properties['PolicyDocument']) }))
      .filter(({ characters }) => characters > MOST)
      .map(({ id, characters }) => `${id} may have ${characters} characters, of which IoT takes ${MOST}`);
  },
};
