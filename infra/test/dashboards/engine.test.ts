/**
 * The data set's query, asked of the engine itself: a lake is made of the sample, dirt included, and queried through the
 * view. It runs where `iotlake` is built; its SQL is DataFusion's, whose words for all that the query uses are Athena's.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import { query, QUERY_COLUMNS, viewOf } from '../../lib/dashboards/data-set';
import { MODELS } from '../../lib/sitewise/models';

const repository = path.join(__dirname, '..', '..', '..');
/** Whether a file is an engine that was built with SQL. */
const answers = (file: string): boolean => {
  if (!fs.existsSync(file)) return false;
  const { stderr } = spawnSync(file, ['query', '--lake', os.tmpdir(), 'SELECT 1'], { encoding: 'utf8' });
  return !stderr.includes('without SQL');
};
const built = ['debug', 'release'].map((profile) => path.join(repository, 'target', profile, 'iotlake'));
const binary = process.env['IOTLAKE_BINARY'] ?? built.find(answers);

const whereBuilt = binary === undefined ? describe.skip : describe;

whereBuilt('the engine (IOTLAKE_BINARY, or target/*/iotlake), asked the query of the data set', () => {
  let lake: string;
  const ask = (sql: string): Record<string, unknown>[] =>
    execFileSync(binary!, ['query', '--lake', lake, '--format', 'json', sql], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  // The engine's own catalog has one database, without a name.
  const ours = query('DB', 'events').replace('"DB".', '');
  const always = ours.replace(/\nWHERE[\s\S]*/, '');

  beforeAll(() => {
    lake = fs.mkdtempSync(path.join(os.tmpdir(), 'dashboards-'));
    const sample = path.join(repository, 'fixtures', 'sample');
    try {
      execFileSync(binary!, ['backfill', sample, '--lake', lake, '--contract', 'rigado', '--table', 'events'], {
        stdio: 'ignore',
      });
    } catch (failure) {
      // 3: done, and some records are rejected, as the sample's dirt has to be.
      expect((failure as { status: number }).status).toBe(3);
    }
  }, 60_000);
  afterAll(() => fs.rmSync(lake, { recursive: true, force: true }));

  test('it has every column, and a clean number for each measurement of each model', () => {
    const [columns] = ask(
      `SELECT count(*) AS n, ${QUERY_COLUMNS.map(({ name }) => `count("${name}")`).join(', ')} FROM (${always})`,
    );
    expect(Object.keys(columns!)).toHaveLength(QUERY_COLUMNS.length + 1);
    expect(columns!['n']).toBeGreaterThan(900);
    const averages = ask(`SELECT split_part("device.capabilitymodelid", ':', 3) AS model,
      avg(temperature) AS "Temperature", avg(humidity) AS "Humidity", avg(occupancy) AS "Occupancy"
      FROM (${always}) WHERE "device.capabilitymodelid" IS NOT NULL GROUP BY 1`);
    for (const [model, names] of Object.entries(MODELS)) {
      const found = averages.find((row) => row['model'] === model);
      for (const name of names) {
        // The sample has `1e400` and `-1e999` as text among its temperatures.
        expect(found?.[name]).toBeGreaterThan(0);
        expect(found?.[name]).toBeLessThan(100);
      }
    }
  });

  test('it takes the rows of today and yesterday, and no others', () => {
    const [day] = ask(`SELECT max(year || '-' || month || '-' || day) AS last, count(*) AS n FROM ${viewOf('events')}`);
    const rowsAt = (daysLater: number): unknown => {
      const noon = new Date(Date.parse(`${String(day!['last'])}T12:00:00Z`) + daysLater * 86_400_000);
      const at = ours.replaceAll('now()', `TIMESTAMP '${noon.toISOString().slice(0, 19)}'`);
      return ask(`SELECT count(*) AS n FROM (${at})`)[0]!['n'];
    };
    expect([rowsAt(-1), rowsAt(0), rowsAt(1), rowsAt(2)]).toEqual([0, day!['n'], day!['n'], 0]);
  });
});
