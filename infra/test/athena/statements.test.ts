/**
 * Every statement that Athena is sent: parsed in Athena's dialect by a parser that nobody here wrote, each name resolved
 * against the tables' columns, each column of the answer with its type.
 *
 * The tables' columns and the view's statement are what the engine makes of the sample, kept beside this file; where
 * the engine is built, they are compared with it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';

import { query, QUERY_COLUMNS, VIEW_COLUMNS, viewOf, type ColumnType } from '../../lib/dashboards/data-set';
import { PANELS } from '../../lib/dashboards/panels';
import { IotlakeStack } from '../../lib/iotlake-stack';
import { zipsInBucket } from '../../lib/lambda-code';
import { readSettings } from '../../lib/settings';
import { fields } from '../../scripts/compare/fields';
import { question, rejectsQuestion } from '../../scripts/compare/sql';
import { since } from '../../scripts/end-to-end/hours';

const repository = path.join(__dirname, '..', '..', '..');
const python = path.join(repository, '.venv-infra', 'bin', 'python');
const whereInstalled =
  fs.existsSync(python) && spawnSync(python, ['-c', 'import sqlglot']).status === 0 ? test : test.skip;

type Columns = Record<string, string>;
const TABLES = JSON.parse(fs.readFileSync(path.join(__dirname, 'tables.json'), 'utf8')) as Record<string, Columns>;
const VIEW = fs.readFileSync(path.join(__dirname, 'events_rigado.sql'), 'utf8');
const RAW = { json: 'string', day: 'string' };

jest.setTimeout(120_000);

type Answers = Record<string, { columns?: [name: string, type: string][]; error?: string }>;

function parsed(tables: Record<string, unknown>, statements: Record<string, string>): Answers {
  const input = JSON.stringify({ tables, statements });
  return JSON.parse(execFileSync(python, [path.join(__dirname, 'parse.py')], { input, encoding: 'utf8' })) as Answers;
}

/** What QuickSight calls Athena's types. */
const AS_QUICKSIGHT: Readonly<Record<string, ColumnType>> = {
  varchar: 'STRING',
  string: 'STRING',
  bigint: 'INTEGER',
  double: 'DECIMAL',
  boolean: 'BOOLEAN',
  timestamp: 'DATETIME',
};
const quickSight = (columns: [string, string][] | undefined): Columns =>
  Object.fromEntries((columns ?? []).map(([name, type]) => [name, AS_QUICKSIGHT[type] ?? type]));

/** What a panel asks: its columns, by minute where it is a line, of the answer of the data set's query. */
function panelsQuestion(id: string): string {
  const panel = PANELS.find((each) => each.id === id);
  const visual = JSON.stringify(panel?.visual(id, ''));
  const columns = [...new Set([...visual.matchAll(/"columnName":"([^"]+)"/g)].map(([, name]) => `"${name}"`))];
  const shown = columns.map((name) => (name === '"time"' ? `date_trunc('minute', "time") AS "time"` : name));
  return `SELECT ${shown.join(', ')}, count(*) AS n FROM data_set GROUP BY ${columns.map((_, index) => index + 1).join(', ')}`;
}

whereInstalled('the view has the names and types of the data set', () => {
  const { view } = parsed(TABLES, { view: VIEW });
  expect(view?.error).toBeUndefined();
  expect(quickSight(view?.columns)).toEqual(Object.fromEntries(VIEW_COLUMNS.map(({ name, type }) => [name, type])));
});

whereInstalled('each statement is one that Athena can read, on columns that there are', () => {
  const { view } = parsed(TABLES, { view: VIEW });
  const database = { ...TABLES, [viewOf('events')]: Object.fromEntries(view?.columns ?? []), raw: RAW };
  const tables = { iotlake_int: database };
  const settings = readSettings(() => undefined, {});
  const stack = new IotlakeStack(new App(), 'iotlake-int', { settings, code: zipsInBucket('code', '') });
  const named = Object.values(Template.fromStack(stack).findResources('AWS::Athena::NamedQuery')).map(
    ({ Properties }) => [String(Properties.Name), `${Properties.QueryString as string}`] as const,
  );
  const columns = Object.entries(TABLES['events'] ?? {}).map(([name, type]) => ({ name, type }));
  const side = { database: 'iotlake_int', table: 'events', device: 'device.deviceid' };
  const day = { year: '2026', month: '03', day: '01' };
  const dataSet = query('iotlake_int', 'events');
  const hours = since(new Date('2026-03-01T23:59:00Z'), new Date('2026-03-02T00:01:00Z'));
  // Named queries are asked in the database that they are saved with.
  const inDatabase = (sql: string): string => sql.replace(/FROM "(\w+)"/, 'FROM "iotlake_int"."$1"');
  const statements = {
    'data set': dataSet,
    comparison: question(side, day, fields(columns)),
    rejects: rejectsQuestion(side, day),
    'end-to-end': `SELECT count(*) AS n FROM "iotlake_int"."events" WHERE ${hours} AND "device.deviceid" = 'x'`,
    'raw lines': `SELECT json FROM "iotlake_int"."raw" WHERE day = '2026/11/25'`,
    ...Object.fromEntries(named.map(([name, sql]) => [name, inDatabase(sql)])),
  };
  expect(Object.keys(statements)).toHaveLength(5 + 2);
  const answers = parsed(tables, statements);
  const ofDataSet = { data_set: Object.fromEntries(answers['data set']?.columns ?? []) };
  const panels = Object.fromEntries(PANELS.map(({ id }) => [`panel ${id}`, panelsQuestion(id)]));
  Object.assign(answers, parsed(ofDataSet, panels));
  expect(Object.keys(answers)).toHaveLength(5 + 2 + 9);
  const wrong = Object.entries(answers).flatMap(([name, { error }]) =>
    error === undefined ? [] : [`${name}: ${error}`],
  );
  expect(wrong).toEqual([]);
  expect(quickSight(answers['data set']?.columns)).toEqual(
    Object.fromEntries(QUERY_COLUMNS.map(({ name, type }) => [name, type])),
  );
  // A type that could not be told would be a name that could not be resolved.
  for (const [name, { columns: found }] of Object.entries(answers)) {
    expect([name, (found ?? []).filter(([, type]) => type === 'unknown')]).toEqual([name, []]);
  }
});

whereInstalled('what Athena cannot read is found', () => {
  const wrong = parsed(TABLES, {
    column: 'SELECT "no.such.column" FROM events',
    table: 'SELECT a FROM nowhere',
    syntax: 'SELECT FROM WHERE',
    function: 'SELECT epochDate("ts") FROM events',
    two: 'SELECT 1; SELECT 2',
  });
  expect(Object.entries(wrong).filter(([, { error }]) => error === undefined)).toEqual([]);
});

const answers = (file: string): boolean =>
  fs.existsSync(file) &&
  !spawnSync(file, ['query', '--lake', os.tmpdir(), 'SELECT 1'], { encoding: 'utf8' }).stderr.includes('without SQL');
const engine =
  process.env['IOTLAKE_BINARY'] ??
  ['debug', 'release'].map((profile) => path.join(repository, 'target', profile, 'iotlake')).find(answers);

(engine === undefined ? test.skip : test)('columns and view are those of the engine (where it is built)', () => {
  const lake = fs.mkdtempSync(path.join(os.tmpdir(), 'statements-'));
  try {
    const sample = path.join(repository, 'fixtures', 'sample');
    // 3: some records are rejected, as the sample's dirt has to be.
    spawnSync(engine!, ['backfill', sample, '--lake', lake, '--contract', 'rigado', '--table', 'events']);
    const says = (...words: string[]): string =>
      execFileSync(engine!, [...words, '--lake', lake], { encoding: 'utf8' });
    expect(says('schema', 'events_rigado', '--sql')).toBe(VIEW);
    const { columns } = JSON.parse(says('schema', 'events', '--json')) as { columns: { name: string; type: string }[] };
    expect(TABLES['events']).toMatchObject(Object.fromEntries(columns.map(({ name, type }) => [name, type])));
  } finally {
    fs.rmSync(lake, { recursive: true, force: true });
  }
});
