/**
 * What the engine makes of one raw object, put into a deployment by a test that has no engine: table, table of rejects, view,
 * a file with its partition, and the receipt of the object.
 *
 * Names and places are those of the engine; `local/deployment.test.ts` holds `doctor` against what the engine itself writes.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CreatePartitionCommand, CreateTableCommand, type TableInput } from '@aws-sdk/client-glue';
import { PutObjectCommand } from '@aws-sdk/client-s3';

import type { Environment } from '../scripts/doctor/environment';
import { receiptKey } from '../scripts/doctor/stages/receipts';
import { PYTHON } from './scripts/stand-in';

export const HOUR = ['2026', '03', '01', '08'] as const;
export const RAW_KEY = `${HOUR.join('/')}/iot-1`;
const COLUMN = 'device.deviceid';
const WRITE = `
import sys, pyarrow as pa, pyarrow.parquet as pq
pq.write_table(pa.table({sys.argv[2]: pa.array(["one", "two"])}), sys.argv[1])
`;

/** The tables and the view, as Glue has them. */
export function tables(environment: Environment): readonly TableInput[] {
  const location = `s3://${environment.output('lakeBucketName')}/`;
  const table = (Name: string): TableInput => ({
    Name,
    TableType: 'EXTERNAL_TABLE',
    PartitionKeys: ['year', 'month', 'day', 'hour'].map((key) => ({ Name: key, Type: 'string' })),
    StorageDescriptor: {
      Columns: [{ Name: COLUMN, Type: 'string' }],
      Location: `${location}${Name}/`,
      InputFormat: 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat',
      SerdeInfo: { SerializationLibrary: 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe' },
    },
  });
  const stored = Buffer.from(JSON.stringify({ originalSql: `SELECT "${COLUMN}" FROM "events"` })).toString('base64');
  const view = {
    ...table('events_rigado'),
    TableType: 'VIRTUAL_VIEW',
    ViewOriginalText: `/* Presto View: ${stored} */`,
    ViewExpandedText: '/* Presto View */',
  };
  // The stand-in reads a view's files, since it has no views.
  return [table('events'), table('events_rejects'), { ...view, StorageDescriptor: table('events').StorageDescriptor }];
}

/** The partition of the hour, in one of them. */
export function partition(environment: Environment, TableName: string): CreatePartitionCommand {
  const descriptor = tables(environment)[0]?.StorageDescriptor;
  const [year, month, day, hour] = HOUR;
  const Location = `${descriptor?.Location}year=${year}/month=${month}/day=${day}/hour=${hour}/`;
  return new CreatePartitionCommand({
    DatabaseName: environment.output('glueDbName'),
    TableName,
    PartitionInput: { Values: [...HOUR], StorageDescriptor: { ...descriptor, Location } },
  });
}

/** Puts a raw object, and all that the engine makes of it. */
export async function ingestOne(environment: Environment): Promise<void> {
  const { glue, s3 } = environment.aws;
  const [raw, lake] = [environment.output('rawBucketName'), environment.output('lakeBucketName')];
  const DatabaseName = environment.output('glueDbName');
  for (const TableInput of tables(environment)) await glue.send(new CreateTableCommand({ DatabaseName, TableInput }));
  for (const name of ['events', 'events_rigado']) await glue.send(partition(environment, name));
  const [year, month, day, hour] = HOUR;
  const key = `events/year=${year}/month=${month}/day=${day}/hour=${hour}/part.parquet`;
  const folder = mkdtempSync(join(tmpdir(), 'iotlake-engine-'));
  const file = join(folder, 'part.parquet');
  execFileSync(PYTHON, ['-c', WRITE, file, COLUMN]);
  const put = async (Bucket: string, Key: string, Body: string | Buffer): Promise<unknown> =>
    s3.send(new PutObjectCommand({ Bucket, Key, Body }));
  await put(raw, RAW_KEY, '{"device": {"deviceId": "one"}}\n{"device": {"deviceId": "two"}}\n');
  await put(lake, key, readFileSync(file));
  rmSync(folder, { recursive: true });
  await put(lake, receiptKey(environment, RAW_KEY), JSON.stringify({ format: 1, outputs: [{ key }] }));
}
