/**
 * "ruleName: Length Constraints: Minimum length of 1. Maximum length of 128. Pattern: ^[a-zA-Z0-9_]+$"
 * https://docs.aws.amazon.com/iot/latest/apireference/API_TopicRuleListItem.html
 */
import type { Rule } from './rule';
import { text } from './template';

export const rule: Rule = {
  check(template) {
    return template
      .of('AWS::IoT::TopicRule')
      .map(({ id, properties }) => ({ id, name: text(properties['RuleName'] ?? 'x') }))
      .filter(({ name }) => !/^[a-zA-Z0-9_]{1,128}$/.test(name.replace(/<\w+>/g, 'x')))
      .map(({ id, name }) => `${id}: IoT takes no rule called ${name}`);
  },
};
