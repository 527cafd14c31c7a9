/** The notification: whether the bucket tells the queue of every object that is made. */
import { GetBucketNotificationConfigurationCommand } from '@aws-sdk/client-s3';

import type { Stage } from '../look';

export const notification: Stage = {
  name: 'notification',
  async examine(environment, look) {
    const bucket = environment.output('rawBucketName');
    const queue = environment.get('AWS::SQS::Queue', 'IngestQueue').split('/').at(-1) ?? '';
    const asked = new GetBucketNotificationConfigurationCommand({ Bucket: bucket });
    const { QueueConfigurations = [] } = await environment.aws.s3.send(asked);
    const ours = QueueConfigurations.filter(({ QueueArn }) => QueueArn?.split(':').at(-1) === queue);
    const again =
      'somebody replaced the configuration of the bucket, which is one document: put the queue back with `aws s3api ' +
      'put-bucket-notification-configuration`, then `iotlake backfill` what came meanwhile';
    if (ours.length === 0) {
      return look.broken(`the bucket ${bucket} does not tell the queue ${queue} of its objects`, again);
    }
    const events: string[] = ours.flatMap(({ Events = [] }) => Events);
    look.fact('tells the queue', events.join(', '));
    // Firehose uploads in parts when its interval is short: `Put` alone would miss those.
    const hasAll = events.includes('s3:ObjectCreated:*');
    if (!hasAll) look.broken(`the queue is told of ${events.join(', ')} only, not of s3:ObjectCreated:*`, again);
    const filters = ours.flatMap(({ Filter }) => Filter?.Key?.FilterRules ?? []);
    if (filters.length > 0) {
      const shown = filters.map(({ Name, Value }) => `${Name} ${Value}`).join(', ');
      look.broken(`the queue is told of some objects only: ${shown}`, again);
    }
  },
};
