/** The partitions: whether the files that the newest receipt names are there, and their hours are in the catalog. */
import { GetPartitionCommand } from '@aws-sdk/client-glue';
import { GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';

import { unlessMissing } from '../../aws';
import type { Environment } from '../environment';
import type { Stage } from '../look';
import { newest } from '../objects';
import { receiptKey } from './receipts';

/** Raw objects whose receipts are looked for, and files that are looked at. */
const SAMPLE = 20;

/** A receipt of the engine, as far as it is looked at. */
interface Receipt {
  readonly outputs?: readonly { readonly key: string }[];
}

export const partitions: Stage = {
  name: 'partitions',
  async examine(environment, look) {
    const { s3, glue } = environment.aws;
    const lake = environment.output('lakeBucketName');
    const [DatabaseName, TableName] = [environment.output('glueDbName'), environment.output('athenaTableName')];
    const files = await newestFiles(environment);
    if (files.length === 0) return look.quiet('no receipt names a file yet');
    const hours = new Set<string>();
    for (const Key of files.slice(0, SAMPLE)) {
      const there = await unlessMissing(s3.send(new HeadObjectCommand({ Bucket: lake, Key })));
      if (there === undefined) {
        look.broken(
          `the file s3://${lake}/${Key} is gone, which a receipt names`,
          `restore it, since the bucket keeps versions: aws s3api list-object-versions --bucket ${lake} --prefix '${Key}'`,
        );
      }
      const [, ...values] = /year=(\d+)\/month=(\d+)\/day=(\d+)\/hour=(\d+)\//.exec(Key) ?? [];
      if (values.length === 4) hours.add(values.join('/'));
    }
    for (const hour of hours) {
      const PartitionValues = hour.split('/');
      const asked = new GetPartitionCommand({ DatabaseName, TableName, PartitionValues });
      const found = (await unlessMissing(glue.send(asked)))?.Partition;
      if (found === undefined) {
        const [year, month, day, at] = PartitionValues;
        const folder = `s3://${lake}/${(files[0] ?? '').replace(/year=.*/s, '')}`;
        look.broken(
          `the hour ${hour} has files, but no partition in ${TableName}`,
          `in Athena: ALTER TABLE \`${DatabaseName}\`.\`${TableName}\` ADD IF NOT EXISTS PARTITION (year='${year}', ` +
            `month='${month}', day='${day}', hour='${at}') LOCATION ` +
            `'${folder}year=${year}/month=${month}/day=${day}/hour=${at}/'; iotlake audit --lake s3://${lake} ` +
            `--catalog glue:${DatabaseName} names others`,
        );
      } else look.fact(`partition ${hour}`, found.StorageDescriptor?.Location);
    }
  },
};

/** The files of the newest receipt that names any. */
async function newestFiles(environment: Environment): Promise<string[]> {
  const { s3 } = environment.aws;
  const Bucket = environment.output('lakeBucketName');
  for (const { Key = '' } of (await newest(s3, environment.output('rawBucketName'), '')).slice(0, SAMPLE)) {
    const asked = new GetObjectCommand({ Bucket, Key: receiptKey(environment, Key) });
    const found = await unlessMissing(s3.send(asked));
    if (found === undefined) continue;
    const { outputs = [] } = JSON.parse((await found.Body?.transformToString()) ?? '{}') as Receipt;
    if (outputs.length > 0) return outputs.map(({ key }) => key);
  }
  return [];
}
