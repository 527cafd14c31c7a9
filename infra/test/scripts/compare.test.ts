/**
 * A day of two lakes compared: Parquet files as the quickstart's job and as iotlake write them, in buckets, tables in
 * Glue, and the questions answered by a server that reads them.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CreateDatabaseCommand, CreatePartitionCommand, CreateTableCommand } from '@aws-sdk/client-glue';
import { CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';

import { Aws } from '../../scripts/aws';
import { compare, type Comparison } from '../../scripts/compare/compare';
import { differences, tally, type Tallies } from '../../scripts/compare/differences';
import { fieldOf, fields } from '../../scripts/compare/fields';
import { parseDay } from '../../scripts/compare/sql';
import { describeWithServer, PYTHON, start, type StandIn } from './stand-in';

jest.setTimeout(90_000);

test('columns of one field are found under both ways to name them', () => {
  expect(fieldOf('measurements.temperature.double')).toBe('measurements.temperature');
  expect(fieldOf('measurements.temperature')).toBe('measurements.temperature');
  // A field whose own name is that of a kind.
  expect(fieldOf('double')).toBe('double');
  const found = fields([
    { name: 'm.t.int', type: 'int' },
    { name: 'm.t.string', type: 'string' },
    { name: 'm.on', type: 'boolean' },
    { name: 'm.list.json', type: 'string' },
    { name: '_source', type: 'string' },
    { name: 'hour', type: 'string' },
  ]);
  expect(found).toEqual([
    { name: 'm.list', columns: [{ name: 'm.list.json', sum: 'none' }] },
    { name: 'm.on', columns: [{ name: 'm.on', sum: 'boolean' }] },
    {
      name: 'm.t',
      columns: [
        { name: 'm.t.int', sum: 'number' },
        { name: 'm.t.string', sum: 'text' },
      ],
    },
  ]);
});

test('days are told from what is none', () => {
  expect(parseDay('2026-11-23')).toEqual({ year: '2026', month: '11', day: '23' });
  for (const text of ['2026-11-3', '2026-13-01', '23.11.2026', "2026-11-23' OR '1'='1"]) {
    expect(parseDay(text)).toBeUndefined();
  }
});

test('sums may differ in their last digits, and no further', () => {
  const side = (sum: string): Tallies => {
    const tallies: Tallies = new Map();
    const row = new Map([
      ['hour', '08'],
      ['device', 'a'],
      ['row_count', '3'],
      ['c0', '3'],
      ['s0', sum],
    ]);
    tally(tallies, [row], [{ name: 't', columns: [{ name: 't', sum: 'number' }] }]);
    return tallies;
  };
  expect(differences(side('64.30000000000001'), side('64.3'))).toEqual([]);
  expect(differences(side('inf'), side('Infinity'))).toEqual([]);
  expect(differences(side('NaN'), side('nan'))).toEqual([]);
  expect(differences(side('64.3'), side('64.4'))).toHaveLength(1);
});

/** A column for a file: Arrow's type and the values of the rows. */
type Values = Record<string, { type: string; values: (number | string | boolean | null)[] }>;

/** Writes the file that its argument describes. */
const WRITE = `
import json, sys
import pyarrow as pa, pyarrow.parquet as pq
columns = json.loads(sys.argv[2])
types = {"bigint": pa.int64(), "int": pa.int32(), "double": pa.float64(), "string": pa.string(), "boolean": pa.bool_()}
pq.write_table(pa.table({n: pa.array(c["values"], types[c["type"]]) for n, c in columns.items()}), sys.argv[1])
`;

describeWithServer('compare', () => {
  let server: StandIn;
  let aws: Aws;
  const folder = mkdtempSync(join(tmpdir(), 'iotlake-compare-'));

  beforeAll(async () => {
    server = await start();
    aws = new Aws('eu-west-1');
    await aws.s3.send(new CreateBucketCommand({ Bucket: 'lakes' }));
    for (const Name of ['quickstart', 'iotlake']) {
      await aws.glue.send(new CreateDatabaseCommand({ DatabaseInput: { Name } }));
    }
  });

  afterAll(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function table(database: string, name: string, hour: string, values: Values): Promise<void> {
    const file = join(folder, 'part.parquet');
    execFileSync(PYTHON, ['-c', WRITE, file, JSON.stringify(values)]);
    const Key = `${database}/${name}/year=2026/month=11/day=23/hour=${hour}/part.parquet`;
    await aws.s3.send(new PutObjectCommand({ Bucket: 'lakes', Key, Body: readFileSync(file) }));
    const descriptor = {
      Location: `s3://lakes/${database}/${name}/`,
      Columns: Object.entries(values).map(([Name, { type }]) => ({ Name, Type: type })),
      InputFormat: 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat',
      OutputFormat: 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat',
      SerdeInfo: { SerializationLibrary: 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe' },
    };
    const keys = ['year', 'month', 'day', 'hour'];
    await aws.glue.send(
      new CreateTableCommand({
        DatabaseName: database,
        TableInput: {
          Name: name,
          TableType: 'EXTERNAL_TABLE',
          Parameters: { classification: 'parquet' },
          StorageDescriptor: descriptor,
          PartitionKeys: keys.map((Name) => ({ Name, Type: 'string' })),
        },
      }),
    );
    await aws.glue.send(
      new CreatePartitionCommand({
        DatabaseName: database,
        TableName: name,
        PartitionInput: {
          Values: ['2026', '11', '23', hour],
          StorageDescriptor: { ...descriptor, Location: `s3://lakes/${Key.slice(0, Key.lastIndexOf('/') + 1)}` },
        },
      }),
    );
  }

  const comparison = (newTable: string, ignored: string[] = []): Comparison => ({
    old: { database: 'quickstart', table: 'all', device: 'device.deviceid' },
    new: { database: 'iotlake', table: newTable, device: 'device.deviceid' },
    day: { year: '2026', month: '11', day: '23' },
    workgroup: { name: 'primary', output: 's3://lakes/answers/' },
    ignored,
  });
  const devices = ['a', 'a', 'b', 'b'];

  beforeAll(async () => {
    // One temperature was whole, one arrived as text.
    await table('quickstart', 'all', '08', {
      'device.deviceid': { type: 'string', values: devices },
      'measurements.temperature.int': { type: 'int', values: [null, 21, null, null] },
      'measurements.temperature.double': { type: 'double', values: [20.5, null, 19.25, null] },
      'measurements.temperature.string': { type: 'string', values: [null, null, null, '18.5'] },
      'measurements.occupied': { type: 'boolean', values: [true, false, null, null] },
      'measurements.tags': { type: 'bigint', values: [1, null, null, null] },
    });
  });

  test('the same day, differently split over columns, has no differences', async () => {
    await table('iotlake', 'events', '08', {
      'device.deviceid': { type: 'string', values: devices },
      'measurements.temperature': { type: 'double', values: [20.5, 21, 19.25, null] },
      'measurements.temperature.string': { type: 'string', values: [null, null, null, '18.5'] },
      'measurements.occupied': { type: 'boolean', values: [true, false, null, null] },
      _source: { type: 'string', values: ['x', 'x', 'x', 'x'] },
    });
    const report = await compare(aws, comparison('events'));
    expect(report.rows).toEqual({ old: 4, new: 4 });
    expect(report.groups).toBe(2);
    expect(report.onlyOld).toEqual(['measurements.tags']);
    // The key into a frame that the quickstart's job threw away: what `onlyOld` explains.
    expect(report.differences).toEqual([
      { hour: '08', device: 'a', what: 'measurements.tags', measure: 'values', old: 1, new: 0 },
    ]);
    const ignoring = await compare(aws, comparison('events', ['measurements.tags']));
    expect([ignoring.onlyOld, ignoring.differences]).toEqual([[], []]);
  });

  test('a lost row, a lost value and a wrong value are each told, and rejects are counted', async () => {
    await table('iotlake', 'lossy', '08', {
      'device.deviceid': { type: 'string', values: ['a', 'a', 'b'] },
      'measurements.temperature': { type: 'double', values: [20.5, 22, 19.25] },
      'measurements.occupied': { type: 'boolean', values: [true, null, null] },
      'measurements.tags.json': { type: 'string', values: ['[1]', null, null] },
    });
    await table('iotlake', 'lossy_rejects', '08', { reason: { type: 'string', values: ['syntax'] } });
    const report = await compare(aws, comparison('lossy'));
    expect(report.rejected).toBe(1);
    expect(report.differences).toEqual([
      { hour: '08', device: 'a', what: 'measurements.occupied', measure: 'values', old: 2, new: 1 },
      { hour: '08', device: 'a', what: 'measurements.temperature', measure: 'sum', old: 41.5, new: 42.5 },
      { hour: '08', device: 'b', what: 'rows', measure: 'rows', old: 2, new: 1 },
      { hour: '08', device: 'b', what: 'device.deviceid', measure: 'values', old: 2, new: 1 },
      { hour: '08', device: 'b', what: 'measurements.temperature', measure: 'values', old: 2, new: 1 },
    ]);
  });

  test('a table that is not there is named', async () => {
    await expect(compare(aws, comparison('nothing'))).rejects.toThrow('there is no table iotlake.nothing');
  });
});
