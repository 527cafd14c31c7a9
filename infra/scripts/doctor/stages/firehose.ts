/** Firehose: whether the stream works, writes into the stack's bucket and may, and what it last failed at. */
import { DescribeDeliveryStreamCommand } from '@aws-sdk/client-firehose';

import { unlessMissing } from '../../aws';
import { lastLine } from '../log';
import type { Stage } from '../look';
import { counts, lately } from '../metrics';
import { newest } from '../objects';
import { mayDo } from '../roles';

export const firehose: Stage = {
  name: 'Firehose',
  async examine(environment, look) {
    const name = environment.get('AWS::KinesisFirehose::DeliveryStream');
    const described = environment.aws.firehose.send(new DescribeDeliveryStreamCommand({ DeliveryStreamName: name }));
    const stream = (await unlessMissing(described))?.DeliveryStreamDescription;
    if (stream === undefined) return look.broken(`the stream ${name} is gone`, 'deploy again');
    look.fact('stream', `${name}, ${stream.DeliveryStreamStatus}`);
    if (stream.DeliveryStreamStatus !== 'ACTIVE') {
      const why = stream.FailureDescription?.Details ?? '';
      look.broken(`the stream ${name} is ${stream.DeliveryStreamStatus} ${why}`.trimEnd(), 'deploy again');
    }
    const destination = stream.Destinations?.[0]?.ExtendedS3DestinationDescription;
    const bucket = environment.output('rawBucketName');
    const written = destination?.BucketARN?.split(':').at(-1);
    if (written !== bucket) {
      look.broken(`the stream ${name} writes to ${written ?? 'no bucket'}, not to ${bucket}`, 'deploy again');
    }
    if (destination?.RoleARN !== undefined) {
      const arn = destination.BucketARN ?? '';
      await mayDo(environment, look, destination.RoleARN, {
        [`${arn}/2026/01/01/00/object`]: ['s3:PutObject', 's3:AbortMultipartUpload'],
        [arn]: ['s3:GetBucketLocation', 's3:ListBucket', 's3:ListBucketMultipartUploads'],
      });
    }
    const { IntervalInSeconds, SizeInMBs } = destination?.BufferingHints ?? {};
    look.fact('delivers', `every ${IntervalInSeconds} s or ${SizeInMBs} MB`);
    const dimensions = { DeliveryStreamName: name };
    const names = ['IncomingRecords', 'DeliveryToS3.Records', 'ThrottledRecords'];
    look.fact('last 24 h', await counts(environment, 'AWS/Firehose', dimensions, names));
    const taken = await lately(environment, { namespace: 'AWS/Firehose', name: 'IncomingRecords', dimensions });
    if (taken === undefined) look.quiet('no record in 24 hours, as far as CloudWatch counts');
    const line = await lastLine(environment, environment.get('AWS::Logs::LogGroup', 'RawDeliveryFirehoseLog'));
    if (line === undefined) return;
    look.fact('last error', `${environment.ago(line.time)}: ${line.text}`);
    const [object] = await newest(environment.aws.s3, bucket, '');
    if ((object?.LastModified?.getTime() ?? 0) > line.time.getTime()) return;
    look.broken(
      `the stream ${name} could not deliver: ${line.text}`,
      'mend what it names (the role, the bucket, its key); Firehose tries again for 24 hours, so nothing is lost by then',
    );
  },
};
