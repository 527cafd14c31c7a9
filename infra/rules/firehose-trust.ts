/**
 * "This policy uses the `sts:ExternalId` condition context key to ensure that only Kinesis Data Firehose activity
 * originating from your AWS account can assume this IAM role."
 * https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html
 *
 * That is the one condition that Firehose is documented to meet when it takes on a role.
 */
import type { Rule } from './rule';
import { statements, within } from './template';

export const rule: Rule = {
  check(template) {
    const roles = template
      .of('AWS::KinesisFirehose::DeliveryStream')
      .flatMap(({ properties }) => [...within(properties)].map((each) => template.target(each['RoleARN'])));
    return [...new Set(roles)].flatMap((role) => {
      if (role === undefined) return [];
      return statements(role.properties['AssumeRolePolicyDocument'])
        .flatMap(({ conditions }) => Object.values(conditions).flatMap((keys) => Object.keys(keys)))
        .filter((key) => key !== 'sts:ExternalId')
        .map((key) => `${role.id}: Firehose is not documented to send ${key} when it takes on a role`);
    });
  },
};
