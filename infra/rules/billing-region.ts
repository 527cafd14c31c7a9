/**
 * "Billing metric data is stored in the US East (N. Virginia) Region and represents worldwide charges."
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/monitor_estimated_charges_with_cloudwatch.html
 *
 * A stack can be in any region, and its alarms are where it is: what an account costs is watched by AWS Budgets.
 */
import type { Rule } from './rule';
import { within } from './template';

export const rule: Rule = {
  check(template) {
    return template
      .of('AWS::CloudWatch::Alarm')
      .filter(({ properties }) => [...within(properties)].some((each) => each['Namespace'] === 'AWS/Billing'))
      .map(({ id }) => `${id} is on a metric that is in us-east-1 alone`);
  },
};
