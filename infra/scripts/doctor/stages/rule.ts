/** The IoT rule: whether it is there, on, leads to the stack's Firehose and may write there, and what it failed at. */
import { ListMetricsCommand } from '@aws-sdk/client-cloudwatch';
import { GetTopicRuleCommand } from '@aws-sdk/client-iot';
import { GetObjectCommand } from '@aws-sdk/client-s3';

import type { Environment } from '../environment';
import type { Look, Stage } from '../look';
import { counts, lately } from '../metrics';
import { newest } from '../objects';
import { mayDo } from '../roles';

/** Where the rule puts what it cannot hand on. */
const ERRORS = '_rule-errors/';

export const rule: Stage = {
  name: 'rule',
  async examine(environment, look) {
    const ruleName = environment.get('AWS::IoT::TopicRule', 'RawDeliveryRule');
    const found = await ruleOf(environment, ruleName);
    if (found === undefined) return look.broken(`the rule ${ruleName} is gone`, 'deploy again');
    look.fact('rule', ruleName);
    look.fact('sql', found.sql);
    if (found.ruleDisabled === true) {
      look.broken(`the rule ${ruleName} is disabled`, `aws iot enable-topic-rule --rule-name ${ruleName}`);
    }
    const stream = environment.get('AWS::KinesisFirehose::DeliveryStream');
    const action = found.actions?.find(({ firehose }) => firehose !== undefined)?.firehose;
    if (action?.deliveryStreamName !== stream) {
      const leads = action === undefined ? 'has no action to Firehose' : `leads to ${action.deliveryStreamName}`;
      look.broken(`the rule ${ruleName} ${leads}, not to ${stream}`, 'somebody changed it: deploy again');
    }
    if (action?.roleArn !== undefined) {
      const arn = `arn:${environment.stack.id.split(':')[1]}:firehose:${environment.region}:${environment.account}:deliverystream/${stream}`;
      await mayDo(environment, look, action.roleArn, { [arn]: ['firehose:PutRecord'] });
    }
    await failures(environment, look, ruleName);
  },
};

async function failures(environment: Environment, look: Look, ruleName: string): Promise<void> {
  const RuleName = ruleName;
  const own = await counts(environment, 'AWS/IoT', { RuleName }, ['TopicMatch', 'ParseError', 'RuleMessageThrottled']);
  look.fact('last 24 h', [own, ...(await ofActions(environment, ruleName))].join(', '));
  const matched = await lately(environment, { namespace: 'AWS/IoT', name: 'TopicMatch', dimensions: { RuleName } });
  if (matched === undefined) look.quiet('no message of its topic in 24 hours, as far as CloudWatch counts');
  const parse = await lately(environment, { namespace: 'AWS/IoT', name: 'ParseError', dimensions: { RuleName } });
  if ((parse ?? 0) > 0 && parse === matched) {
    look.broken(
      `no message of the last 24 hours is JSON that the rule ${ruleName} can read`,
      'deploy with `-c iotLogging=true`: the log group AWSIotLogsV2 then says which topic, and what is wrong with the message',
    );
  }
  const bucket = environment.output('rawBucketName');
  const [failed] = await newest(environment.aws.s3, bucket, ERRORS);
  if (failed?.Key === undefined) return;
  look.fact('last that it could not hand on', `${environment.ago(failed.LastModified)}, s3://${bucket}/${failed.Key}`);
  const [delivered] = await newest(environment.aws.s3, bucket, '');
  if ((delivered?.LastModified?.getTime() ?? 0) > (failed.LastModified?.getTime() ?? 0)) return;
  look.broken(
    `the last message could not be handed on: ${await reason(environment, bucket, failed.Key)}`,
    `mend what it names; the messages lie under s3://${bucket}/${ERRORS} for 90 days, in base64: publish them again`,
  );
}

/**
 * What CloudWatch counts of the rule's actions. It has them by rule and type of action, in words of which AWS gives no list,
 * so that they are asked for first.
 */
async function ofActions(environment: Environment, RuleName: string): Promise<string[]> {
  const lines: string[] = [];
  for (const name of ['Success', 'Failure', 'ErrorActionSuccess', 'ErrorActionFailure']) {
    const Dimensions = [{ Name: 'RuleName', Value: RuleName }];
    const asked = new ListMetricsCommand({ Namespace: 'AWS/IoT', MetricName: name, Dimensions });
    for (const { Dimensions: found = [] } of (await environment.aws.cloudWatch.send(asked)).Metrics ?? []) {
      const dimensions = Object.fromEntries(found.map(({ Name = '', Value = '' }) => [Name, Value]));
      const value = await lately(environment, { namespace: 'AWS/IoT', name, dimensions });
      lines.push(`${name} of ${dimensions.ActionType ?? 'all actions'} ${value ?? '-'}`);
    }
  }
  return lines;
}

/** What IoT Core wrote beside the message. */
async function reason(environment: Environment, Bucket: string, Key: string): Promise<string> {
  const { Body } = await environment.aws.s3.send(new GetObjectCommand({ Bucket, Key }));
  try {
    const { failures = [] } = JSON.parse((await Body?.transformToString()) ?? '') as {
      failures?: { failedAction?: string; errorMessage?: string }[];
    };
    const [first] = failures;
    return `${first?.failedAction ?? 'an action'}: ${first?.errorMessage ?? 'no reason given'}`;
  } catch {
    return `s3://${Bucket}/${Key} says why`;
  }
}

/** A rule that is not there is refused as unauthorized, like everything that one may not know of. */
async function ruleOf(environment: Environment, ruleName: string) {
  try {
    return (await environment.aws.iot.send(new GetTopicRuleCommand({ ruleName }))).rule;
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    if (['ResourceNotFoundException', 'UnauthorizedException'].includes(name)) return undefined;
    throw error;
  }
}
