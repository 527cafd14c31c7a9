/** The receipts: whether the newest raw objects are done, which their receipts say and nothing else. */
import { createHash } from 'node:crypto';

import { HeadObjectCommand } from '@aws-sdk/client-s3';

import { unlessMissing } from '../../aws';
import type { Environment } from '../environment';
import type { Stage } from '../look';
import { newest } from '../objects';

/** Raw objects that are looked at. */
const SAMPLE = 20;
/** Minutes after which an object should be done, also behind a batch that ran out of time and came again. */
const MINUTES = 15;

export const receipts: Stage = {
  name: 'receipts',
  async examine(environment, look) {
    const { s3 } = environment.aws;
    const [raw, lake] = [environment.output('rawBucketName'), environment.output('lakeBucketName')];
    // Names that begin with a dot or an underscore are no data.
    const isData = (key: string): boolean => !/^[._]/.test(key.split('/').at(-1) ?? '');
    const objects = (await newest(s3, raw, '')).filter(({ Key = '' }) => isData(Key)).slice(0, SAMPLE);
    if (objects.length === 0) return look.quiet('there is no raw object yet');
    const late: string[] = [];
    let done = 0;
    let last: Date | undefined;
    for (const { Key = '', LastModified } of objects) {
      const asked = new HeadObjectCommand({ Bucket: lake, Key: receiptKey(environment, Key) });
      const receipt = await unlessMissing(s3.send(asked));
      if (receipt !== undefined) {
        done += 1;
        if (last === undefined || (receipt.LastModified ?? last) > last) last = receipt.LastModified;
      } else if (environment.now() - (LastModified?.getTime() ?? 0) > MINUTES * 60_000) late.push(Key);
    }
    look.fact('newest raw objects', `${done} of ${objects.length} are done, ${late.length} are late`);
    look.fact('last receipt', environment.ago(last));
    if (late.length === 0) return;
    look.broken(
      `${late.length} of the newest ${objects.length} raw objects are not done after ${MINUTES} minutes, such as s3://${raw}/${late[0]}`,
      'if messages wait in the queue, it is behind: see the throttles of the function. Else they were never announced, or ' +
        `given up: iotlake backfill 's3://${raw}/${late[0]}' --lake s3://${lake} --catalog glue:${environment.output('glueDbName')} --table ${environment.output('athenaTableName')}`,
    );
  },
};

/** Where the engine keeps the receipt of a raw object: by the day in its key, and a hash of its whole name. */
export function receiptKey(environment: Environment, key: string): string {
  const source = `s3://${environment.output('rawBucketName')}/${key}`;
  const [, year, month, day] = /^(?:.*\/)?(\d{4})\/(\d{2})\/(\d{2})\/\d{2}\//.exec(key) ?? [];
  const folder = year === undefined ? 'undated' : `${year}/${month}/${day}`;
  const hash = createHash('sha256').update(source).digest('hex').slice(0, 32);
  return `_iotlake/receipts/${environment.output('athenaTableName')}/${folder}/${hash}.json`;
}
