/**
 * The log of IoT Core, for who asks for it: errors of a rule's SQL and of messages that are no JSON reach no error
 * action, and only this log shows them.
 *
 * What must be known: it is one setting of the whole account and region. Where somebody has switched it on already, or
 * another environment has it, this is not for you.
 */
import { aws_iam as iam, aws_iot as iot, Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';

import { acknowledgeWildcard } from './wildcards';

/** The log group that IoT Core writes to; it makes it itself. */
const GROUP = 'AWSIotLogsV2';

export class IotLogging extends Construct {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    const stack = Stack.of(this);
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('iot.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': stack.account } },
      }),
    });
    const group = `arn:${stack.partition}:logs:${stack.region}:${stack.account}:log-group:${GROUP}*`;
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: [
          'logs:CreateLogGroup',
          'logs:CreateLogStream',
          'logs:PutLogEvents',
          'logs:PutMetricFilter',
          'logs:PutRetentionPolicy',
        ],
        resources: [group],
      }),
    );
    acknowledgeWildcard(role, group, "The group's streams, as the policy of AWS's own guide has it");
    const logging = new iot.CfnLogging(this, 'Logging', {
      accountId: stack.account,
      defaultLogLevel: 'ERROR',
      roleArn: role.roleArn,
    });
    logging.node.addDependency(role.node.findChild('DefaultPolicy'));
  }
}
