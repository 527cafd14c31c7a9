/** The bucket of raw objects: whether it is there, and when the last one came. */
import { HeadBucketCommand } from '@aws-sdk/client-s3';

import { unlessMissing } from '../../aws';
import type { Stage } from '../look';
import { newest } from '../objects';

/** Folders into which Firehose puts what it could not write as data. */
const FAILED = ['processing-failed/', 'format-conversion-failed/', 'dynamic-partitioning-failed/'];

export const rawBucket: Stage = {
  name: 'raw bucket',
  async examine(environment, look) {
    const { s3 } = environment.aws;
    const bucket = environment.output('rawBucketName');
    if ((await unlessMissing(s3.send(new HeadBucketCommand({ Bucket: bucket })))) === undefined) {
      return look.broken(
        `the bucket ${bucket} is gone`,
        'no deployment makes it again under this name: uninstall, deploy',
      );
    }
    look.fact('bucket', bucket);
    const [object] = await newest(s3, bucket, '');
    if (object === undefined) look.quiet('no object came yet');
    else look.fact('newest object', `${environment.ago(object.LastModified)}, ${object.Key}, ${object.Size} bytes`);
    for (const folder of FAILED) {
      const [failed] = await newest(s3, bucket, folder);
      if (failed === undefined) continue;
      look.fact(`newest under ${folder}`, `${environment.ago(failed.LastModified)}, ${failed.Key}`);
      if ((failed.LastModified?.getTime() ?? 0) < (object?.LastModified?.getTime() ?? 0)) continue;
      look.broken(
        `what came last lies under ${folder}: Firehose could not write it as data`,
        'the object says why in `errorMessage`; a stream that transforms or converts is not the one that is deployed',
      );
    }
  },
};
