/**
 * "SNS uses access policies to restrict the sources that can publish messages to the topic. If a permissions error
 * occurs, then add the following permissions under the Statement section of the SNS access policy."
 * https://repost.aws/knowledge-center/cloudwatch-receive-sns-for-alarm-trigger
 *
 * A topic without a policy of its own has SNS's, which lets everything of the account publish; one that has a policy has
 * that one alone, so that it has to name `cloudwatch.amazonaws.com`, for this account.
 */
import type { Rule } from './rule';
import { at, list, statements, text, type Template } from './template';

function allows(template: Template, topic: string): boolean {
  const policies = template
    .of('AWS::SNS::TopicPolicy')
    .filter(({ properties }) => list(properties['Topics']).some((each) => template.target(each)?.id === topic));
  if (policies.length === 0) return true;
  return policies
    .flatMap(({ properties }) => statements(properties['PolicyDocument']))
    .some(
      ({ effect, services, actions, conditions }) =>
        effect === 'Allow' &&
        services.includes('cloudwatch.amazonaws.com') &&
        actions.includes('sns:Publish') &&
        // Any account's alarms could publish otherwise.
        at(conditions, 'StringEquals', 'aws:SourceAccount') !== undefined,
    );
}

export const rule: Rule = {
  check(template) {
    const topics = template
      .of('AWS::CloudWatch::Alarm')
      .flatMap(({ properties }) => list(properties['AlarmActions']))
      .map((action) => template.target(action))
      .filter((target) => target?.type === 'AWS::SNS::Topic');
    return [...new Set(topics.map((topic) => topic?.id ?? ''))]
      .filter((topic) => !allows(template, topic))
      .map((topic) => `${text(topic)}: no alarm may publish to it`);
  },
};
