/** The queue: whether S3 may send to it, what waits in it, and where it gives up to. */
import { GetQueueAttributesCommand } from '@aws-sdk/client-sqs';

import { unlessMissing } from '../../aws';
import type { Stage } from '../look';
import { lately } from '../metrics';
import { lets } from '../roles';

export const queue: Stage = {
  name: 'queue',
  async examine(environment, look) {
    const QueueUrl = environment.get('AWS::SQS::Queue', 'IngestQueue');
    const asked = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] });
    const attributes = (await unlessMissing(environment.aws.sqs.send(asked)))?.Attributes;
    const name = QueueUrl.split('/').at(-1) ?? '';
    if (attributes === undefined) {
      return look.broken(`the queue ${name} is gone`, 'deploy again, then `iotlake backfill` what came meanwhile');
    }
    look.fact('queue', name);
    look.fact('waiting', attributes.ApproximateNumberOfMessages);
    look.fact('being worked on', attributes.ApproximateNumberOfMessagesNotVisible);
    const metric = { namespace: 'AWS/SQS', name: 'ApproximateAgeOfOldestMessage', dimensions: { QueueName: name } };
    const age = await lately(environment, { ...metric, statistic: 'Maximum' });
    look.fact('oldest of 24 h', age === undefined ? undefined : `${age} s`);
    if (!lets(attributes.Policy, 's3.amazonaws.com', 'sqs:SendMessage')) {
      look.broken(
        `the policy of the queue ${name} does not let S3 send`,
        'deploy again, which puts the policy back, then `iotlake backfill` what came meanwhile',
      );
    }
    const { deadLetterTargetArn = '' } = JSON.parse(attributes.RedrivePolicy ?? '{}') as {
      deadLetterTargetArn?: string;
    };
    const dead = environment.get('AWS::SQS::Queue', 'IngestDeadLetters').split('/').at(-1);
    if (deadLetterTargetArn.split(':').at(-1) !== dead) {
      look.broken(
        `the queue ${name} gives up to ${deadLetterTargetArn || 'nowhere'}, not to ${dead}: an object that fails comes for ever`,
        'deploy again, which puts the redrive policy back',
      );
    }
  },
};
