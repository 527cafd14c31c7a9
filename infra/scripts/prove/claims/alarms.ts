/**
 * Every alarm is set off, and its notification received: by a queue that is subscribed to the topic for as long as it
 * takes. The contact gets the mails too, which say that they are a proof. Each alarm is put back to what it was.
 */
import {
  DescribeAlarmsCommand,
  SetAlarmStateCommand,
  type MetricAlarm,
  type StateValue,
} from '@aws-sdk/client-cloudwatch';
import { SubscribeCommand, UnsubscribeCommand } from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
} from '@aws-sdk/client-sqs';

import { waitFor } from '../../waiting';
import type { Context } from '../context';

/** Names that CloudWatch takes in one question. */
const AT_ONCE = 100;

export async function alarms(context: Context): Promise<void> {
  const { environment, report } = context;
  const names = environment.all('AWS::CloudWatch::Alarm');
  const topic = environment.get('AWS::SNS::Topic');
  const found: MetricAlarm[] = [];
  for (let at = 0; at < names.length; at += AT_ONCE) {
    const asked = new DescribeAlarmsCommand({ AlarmNames: names.slice(at, at + AT_ONCE) });
    found.push(...((await environment.aws.cloudWatch.send(asked)).MetricAlarms ?? []));
  }
  if (found.length < names.length || found.length === 0) {
    return report.refuted('alarms', `of ${names.length} alarms of the stack ${found.length} are there: deploy again`);
  }
  const listener = await Listener.start(context, topic);
  try {
    const missing = await setOff(context, listener, found);
    if (missing.length === 0) return report.proved('alarms');
    report.refuted(
      'alarms',
      `no notification came of ${missing.join(', ')}: does the policy of the topic let cloudwatch.amazonaws.com publish, ` +
        'and has the alarm the topic as its action?',
    );
  } finally {
    await listener.stop();
  }
}

/** Sets all alarms off; out come those of which nothing was heard. */
async function setOff(context: Context, listener: Listener, all: readonly MetricAlarm[]): Promise<string[]> {
  const { environment, report, id, patience } = context;
  const StateReason = `iotlake prove ${id}: set off on purpose, nothing is wrong`;
  const set = async (AlarmName: string, StateValue: StateValue): Promise<unknown> =>
    environment.aws.cloudWatch.send(new SetAlarmStateCommand({ AlarmName, StateValue, StateReason }));
  const waiting = new Set<string>();
  const hear = async (): Promise<true | undefined> => {
    for (const { AlarmName = '', NewStateValue, NewStateReason } of await listener.heard()) {
      if (NewStateValue !== 'ALARM' || NewStateReason !== StateReason || !waiting.delete(AlarmName)) continue;
      report.saw('alarms', `${AlarmName}: notification received`);
    }
    return waiting.size === 0 ? true : undefined;
  };
  for (const { AlarmName = '' } of all) waiting.add(AlarmName);
  try {
    // Twice, since the queue's policy may not be in force at the first, and what SNS may not deliver then is lost.
    for (const _ of ['first', 'second']) {
      for (const name of waiting) {
        // Only a change is told.
        await set(name, 'OK');
        await set(name, 'ALARM');
      }
      if ((await waitFor(patience.soon, hear)) === true) break;
    }
  } finally {
    for (const { AlarmName = '', StateValue = 'OK' } of all) await set(AlarmName, StateValue);
  }
  return [...waiting].sort();
}

/** What CloudWatch writes into a notification, as far as it is looked at. */
interface Notification {
  readonly AlarmName?: string;
  readonly NewStateValue?: string;
  readonly NewStateReason?: string;
}

/** A queue that hears what the topic says. */
class Listener {
  private constructor(
    private readonly context: Context,
    private readonly QueueUrl: string,
    private readonly subscription: string,
  ) {}

  static async start(context: Context, TopicArn: string): Promise<Listener> {
    const { environment, id } = context;
    const { sqs, sns } = environment.aws;
    const QueueName = `iotlake-${environment.name}-prove-${id}`;
    const partition = TopicArn.split(':')[1];
    const Resource = `arn:${partition}:sqs:${environment.region}:${environment.account}:${QueueName}`;
    const Policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { Service: 'sns.amazonaws.com' },
          Action: 'sqs:SendMessage',
          Resource,
          Condition: { ArnEquals: { 'aws:SourceArn': TopicArn } },
        },
      ],
    });
    const { QueueUrl = '' } = await sqs.send(new CreateQueueCommand({ QueueName, Attributes: { Policy } }));
    const asked = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] });
    const Endpoint = (await sqs.send(asked)).Attributes?.QueueArn;
    const subscribe = { TopicArn, Protocol: 'sqs', Endpoint, ReturnSubscriptionArn: true };
    try {
      const Attributes = { RawMessageDelivery: 'true' };
      const { SubscriptionArn = '' } = await sns.send(new SubscribeCommand({ ...subscribe, Attributes }));
      return new Listener(context, QueueUrl, SubscriptionArn);
    } catch (error) {
      await sqs.send(new DeleteQueueCommand({ QueueUrl }));
      throw error;
    }
  }

  /** What came since it was last asked. */
  async heard(): Promise<Notification[]> {
    const { sqs } = this.context.environment.aws;
    const { QueueUrl } = this;
    const take = { QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 };
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand(take));
    if (Messages.length === 0) return [];
    const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
    await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
    return Messages.map(({ Body = '' }) => {
      try {
        return JSON.parse(Body) as Notification;
      } catch {
        // Something else that the topic said.
        return {};
      }
    });
  }

  async stop(): Promise<void> {
    const { sns, sqs } = this.context.environment.aws;
    await sns.send(new UnsubscribeCommand({ SubscriptionArn: this.subscription }));
    await sqs.send(new DeleteQueueCommand({ QueueUrl: this.QueueUrl }));
  }
}
