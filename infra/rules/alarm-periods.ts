/**
 * "The number of evaluation periods for an alarm multiplied by the length of each evaluation period can't exceed one day."
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
 */
import type { Rule } from './rule';
import { text, within } from './template';

const DAY = 86_400;

export const rule: Rule = {
  check(template) {
    return template.of('AWS::CloudWatch::Alarm').flatMap(({ id, properties }) => {
      const periods = [...within(properties)].flatMap((each) =>
        each['Period'] === undefined ? [] : [Number(text(each['Period']))],
      );
      const looks = Number(text(properties['EvaluationPeriods'])) * Math.max(0, ...periods);
      return looks <= DAY ? [] : [`${id} looks back ${looks} s, more than a day`];
    });
  },
};
