/** The dead letters: whether there are any, of which objects, and what the log says of them. */
import { GetQueueAttributesCommand, ReceiveMessageCommand } from '@aws-sdk/client-sqs';

import { unlessMissing } from '../../aws';
import type { Environment } from '../environment';
import { lastLine } from '../log';
import type { Stage } from '../look';

export const deadLetters: Stage = {
  name: 'dead letters',
  async examine(environment, look) {
    const QueueUrl = environment.get('AWS::SQS::Queue', 'IngestDeadLetters');
    const AttributeNames = ['QueueArn', 'ApproximateNumberOfMessages'] as const;
    const asked = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...AttributeNames] });
    const attributes = (await unlessMissing(environment.aws.sqs.send(asked)))?.Attributes;
    if (attributes === undefined) return look.broken('the dead-letter queue is gone', 'deploy again');
    const depth = Number(attributes.ApproximateNumberOfMessages ?? 0);
    look.fact('dead letters', depth);
    if (depth === 0) return;
    const objects = await someObjects(environment, QueueUrl);
    for (const object of objects) look.fact('object', object);
    const [first] = objects;
    const group = environment.get('AWS::Logs::LogGroup', 'IngestLog');
    const line = first === undefined ? undefined : await lastLine(environment, group, `"${first.replaceAll('"', '')}"`);
    if (line !== undefined) look.fact('the log says of it', line.text);
    look.broken(
      `${depth} messages were given up after ten tries`,
      'docs/aws.md, "A message in the dead-letter queue": mend what the log says of the object, then ' +
        `aws sqs start-message-move-task --source-arn ${attributes.QueueArn}`,
    );
  },
};

/** Objects that some of the messages name. They are looked at, and stay where they are. */
async function someObjects(environment: Environment, QueueUrl: string): Promise<string[]> {
  const peek = new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 0 });
  const { Messages = [] } = await environment.aws.sqs.send(peek);
  return Messages.flatMap(({ Body = '' }) => {
    try {
      const { Records = [] } = JSON.parse(Body) as {
        Records?: { s3?: { bucket?: { name?: string }; object?: { key?: string } } }[];
      };
      // In a notification a plus is a space.
      return Records.map(
        ({ s3 }) => `s3://${s3?.bucket?.name}/${decodeURIComponent((s3?.object?.key ?? '').replaceAll('+', ' '))}`,
      );
    } catch {
      return [`no notification of S3: ${Body.slice(0, 200)}`];
    }
  });
}
