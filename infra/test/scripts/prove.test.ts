/**
 * `prove` where a stand-in can be asked: the release's template on a server that stands in for AWS, its alarms set off, its
 * state machine run; QuickSight and SiteWise answered for as AWS documents them. With real functions it is tried in
 * `local/deployment.test.ts`.
 */
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

import type { StackEvent } from '@aws-sdk/client-cloudformation';
import {
  DescribeAlarmsCommand,
  DisableAlarmActionsCommand,
  EnableAlarmActionsCommand,
} from '@aws-sdk/client-cloudwatch';
import { ListSubscriptionsByTopicCommand } from '@aws-sdk/client-sns';
import { ListQueuesCommand } from '@aws-sdk/client-sqs';

import { query, QUERY_COLUMNS } from '../../lib/dashboards/data-set';
import { definition, PANELS } from '../../lib/dashboards/panels';
import { Aws } from '../../scripts/aws';
import { Environment, environmentOf } from '../../scripts/doctor/environment';
import { TemporaryAsset } from '../../scripts/prove/claims/asset';
import { firstDeployment, initAfterUpgrade } from '../../scripts/prove/claims/deployments';
import { asTemplate, panelQueries } from '../../scripts/prove/claims/panel-query';
import { dashboard } from '../../scripts/prove/claims/panels';
import type { Context } from '../../scripts/prove/context';
import { CLAIMS, prove } from '../../scripts/prove/prove';
import { Report, shown, type Outcome } from '../../scripts/prove/report';
import type { LiveStack } from '../../scripts/uninstall/stacks';
import { deployWithoutEngine } from '../deploy';
import { Services } from '../services';
import { describeWithServer, start, type StandIn } from './stand-in';

jest.setTimeout(300_000);

const INFRA = resolve(__dirname, '../..');
const ACCOUNT = '123456789012';
const QUICK = { every: 50, atMost: 20_000 };
const PATIENCE = { row: QUICK, soon: QUICK, run: QUICK, stack: QUICK };

const claim = (name: string): { name: string; says: string } => ({ name, says: name });
const only = (outcomes: readonly Outcome[], name: string): Outcome | undefined =>
  outcomes.find((each) => each.name === name);

describe('panels as questions', () => {
  const questions = panelQueries(definition('arn'), query('DB', 'events'));

  test('each panel has one, of columns that the data set has', () => {
    expect(questions.map(({ panel }) => panel)).toEqual(PANELS.map(({ id }) => id));
    const columns = new Set(QUERY_COLUMNS.map(({ name }) => name));
    for (const { panel, sql } of questions) {
      const [head = '', rest = ''] = sql.split(/\nFROM \(SELECT[\s\S]*\) AS data_set/);
      const used = [...`${head} ${rest}`.matchAll(/"([^"]+)"/g)].map(([, name]) => name ?? '');
      expect(used.length).toBeGreaterThan(0);
      expect([panel, used.filter((name) => !columns.has(name))]).toEqual([panel, []]);
    }
  });

  test('it groups, aggregates and filters as the panel does', () => {
    const of = (panel: string): string =>
      (questions.find((each) => each.panel === panel)?.sql ?? '').replace(/\(SELECT[\s\S]*\) AS data_set/, 'data_set');
    expect(of('ruuvitag-humidity')).toBe(
      `SELECT date_trunc('minute', "time"), "device.deviceid", avg("humidity")
FROM data_set
WHERE (lower("model") LIKE '%ruuvitag%')
GROUP BY date_trunc('minute', "time"), "device.deviceid"
LIMIT 1000`,
    );
    expect(of('messages-per-minute')).toBe(
      `SELECT date_trunc('minute', "time"), count("ts")
FROM data_set
GROUP BY date_trunc('minute', "time")
LIMIT 1000`,
    );
    expect(of('last-messages')).not.toContain('GROUP BY');
  });

  test("a definition as QuickSight's API gives it is read the same way", () => {
    const upper = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(upper);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value).map(([name, part]) => [name.charAt(0).toUpperCase() + name.slice(1), upper(part)]),
      );
    };
    const described = asTemplate(upper(definition('arn'))) as object;
    expect(panelQueries(described, query('DB', 'events'))).toEqual(questions);
  });
});

describe("a stack's history", () => {
  const at = (minute: number, LogicalResourceId: string, ResourceStatus: string): StackEvent =>
    ({
      Timestamp: new Date(minute * 60_000),
      LogicalResourceId,
      ResourceStatus,
      PhysicalResourceId: 'id',
    }) as StackEvent;
  const outcome = (name: string, events: StackEvent[]): Outcome | undefined => {
    const report = new Report([claim(name)]);
    if (name === 'init-on-upgrade') initAfterUpgrade(events, report);
    else firstDeployment(events, 'id', report);
    return report.outcomes()[0];
  };

  test('init has to run after the function changed, not before', () => {
    const made = [at(1, 'IngestFunctionB02', 'CREATE_COMPLETE'), at(2, 'InitCall7D', 'CREATE_COMPLETE')];
    expect(outcome('init-on-upgrade', made)?.state).toBe('skipped');
    const upgraded = [...made, at(10, 'IngestFunctionB02', 'UPDATE_COMPLETE')];
    expect(outcome('init-on-upgrade', upgraded)?.state).toBe('refuted');
    const called = [...upgraded, at(11, 'InitCall7D', 'UPDATE_COMPLETE')];
    expect(outcome('init-on-upgrade', called)?.state).toBe('proved');
    const forgotten = [...called, at(20, 'IngestFunctionB02', 'UPDATE_COMPLETE')];
    expect(outcome('init-on-upgrade', forgotten)?.state).toBe('refuted');
  });

  test('the first deployment is timed, and not a later one', () => {
    const events = [
      at(1, 'iotlake-int', 'CREATE_IN_PROGRESS'),
      at(4, 'iotlake-int', 'CREATE_COMPLETE'),
      at(50, 'iotlake-int', 'UPDATE_COMPLETE'),
    ];
    expect(outcome('first-deployment', events)?.evidence[0]).toMatch(/^180 s, /);
    expect(outcome('first-deployment', events.slice(2))?.state).toBe('skipped');
  });
});

describeWithServer('prove', () => {
  let server: StandIn;
  let services: Services;
  let aws: Aws;
  let environment: Environment;

  beforeAll(async () => {
    server = await start();
    services = await Services.start();
    aws = new Aws('eu-west-1');
    expect(await deployWithoutEngine(aws, server)).toBe('CREATE_COMPLETE');
    environment = await environmentOf(aws, 'int');
  });

  afterAll(async () => {
    await services.stop();
    await server.stop();
  });

  const asked = (names: string[]) => ({ only: names, destroys: false, standIn: true, patience: PATIENCE });

  test('each alarm is set off and heard, and put back; nothing stays', async () => {
    const alarms = environment.all('AWS::CloudWatch::Alarm');
    const states = async (): Promise<(string | undefined)[]> => {
      const { MetricAlarms = [] } = await aws.cloudWatch.send(new DescribeAlarmsCommand({ AlarmNames: alarms }));
      return MetricAlarms.map(({ StateValue }) => StateValue);
    };
    const before = await states();
    const outcome = only(await prove(environment, asked(['alarms'])), 'alarms');
    expect([outcome?.state, outcome?.why]).toEqual(['proved', undefined]);
    expect([...(outcome?.evidence ?? [])].sort()).toEqual(
      alarms.map((name) => `${name}: notification received`).sort(),
    );
    expect(await states()).toEqual(before);
    const { QueueUrls = [] } = await aws.sqs.send(new ListQueuesCommand({ QueueNamePrefix: 'iotlake-int-prove-' }));
    const TopicArn = environment.get('AWS::SNS::Topic');
    const { Subscriptions = [] } = await aws.sns.send(new ListSubscriptionsByTopicCommand({ TopicArn }));
    expect([QueueUrls, Subscriptions.filter(({ Protocol }) => Protocol === 'sqs')]).toEqual([[], []]);
  });

  test('an alarm that nobody hears refutes the claim, by its name', async () => {
    const silent = environment.all('AWS::CloudWatch::Alarm')[0] ?? '';
    await aws.cloudWatch.send(new DisableAlarmActionsCommand({ AlarmNames: [silent] }));
    const request = { ...asked(['alarms']), patience: { ...PATIENCE, soon: { every: 50, atMost: 3_000 } } };
    const outcome = only(await prove(environment, request), 'alarms');
    await aws.cloudWatch.send(new EnableAlarmActionsCommand({ AlarmNames: [silent] }));
    expect(outcome?.state).toBe('refuted');
    expect(outcome?.why).toMatch(new RegExp(`^no notification came of ${silent}: does the policy of the topic`));
  });

  test('the command says what it skipped and why, and ends with 0; a claim that is none is told', async () => {
    const typed = async (...words: string[]): Promise<{ code: number | null; out: string; err: string }> => {
      const tsx = join(INFRA, 'node_modules', '.bin', 'tsx');
      const child = spawn(tsx, [join('scripts', 'prove.ts'), ...words], { cwd: INFRA, env: process.env });
      let [out, err] = ['', ''];
      child.stdout.on('data', (part: Buffer) => (out += part.toString()));
      child.stderr.on('data', (part: Buffer) => (err += part.toString()));
      const code = await new Promise<number | null>((ended) => child.once('close', ended));
      return { code, out, err };
    };
    const { code, out } = await typed('--environment', 'int', '--json');
    const { claims } = JSON.parse(out) as { claims: Outcome[] };
    expect([code, claims.map(({ name }) => name)]).toEqual([0, CLAIMS.map(({ name }) => name)]);
    for (const { name, standIn, onRequest } of CLAIMS) {
      const due = onRequest ?? standIn;
      if (due !== undefined)
        expect([name, only(claims, name)?.state, only(claims, name)?.why]).toEqual([name, 'skipped', due]);
    }
    expect(only(claims, 'alarms')?.state).toBe('proved');
    const wrong = await typed('--environment', 'int', '--only', 'alarm');
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/error: --only names alarm, which is no claim/)]);
  });

  test('the report for people has every claim, its evidence, and why it is skipped', async () => {
    const outcomes = await prove(environment, asked(['first-deployment']));
    const text = shown('int', new Date(0), outcomes);
    expect(text).toMatch(/^# What was proved of int, 1970-01-01T00:00:00.000Z\n\n1 proved, 0 refuted, 14 skipped\.\n/);
    expect(text).toMatch(/## first-deployment: proved\n\nHow long the first deployment took\.\n\n- \d+ s, from /);
    expect(text).toContain('## alarms: skipped\n\nEach alarm that goes off is told');
    expect(text).toContain('Skipped: --only names others');
  });

  describe('in services that the stand-in lacks', () => {
    const QUICKSIGHT = `/accounts/${ACCOUNT}`;

    function context(name: string, isDashboard = true): { context: Context; outcome: () => Outcome | undefined } {
      const report = new Report([claim(name)]);
      const board = { ...environment.stack, name: 'iotlake-dashboards-int' };
      const model = {
        type: 'AWS::IoTSiteWise::AssetModel',
        logicalId: 'SiteWiseS1Sensor',
        physicalId: 'model-s1',
        status: 'CREATE_COMPLETE',
      };
      const stack: LiveStack = { ...environment.stack, resources: [...environment.stack.resources, model] };
      const own = new Environment('int', aws, stack, isDashboard ? board : undefined);
      return {
        context: { environment: own, report, id: 'abc', isLeftOut: () => false, patience: PATIENCE },
        outcome: () => report.outcomes()[0],
      };
    }

    beforeEach(() => {
      services.asked.length = 0;
      services.give(`GET ${QUICKSIGHT}/data-sources/iotlake-int`, { DataSource: { Status: 'CREATION_SUCCESSFUL' } });
      services.give(`GET ${QUICKSIGHT}/data-sets/iotlake-int`, { DataSet: { ImportMode: 'SPICE' } });
      services.give(`PUT ${QUICKSIGHT}/data-sets/iotlake-int/ingestions/prove-abc`, { IngestionStatus: 'INITIALIZED' });
      services.give(`GET ${QUICKSIGHT}/dashboards/iotlake-int`, {
        Dashboard: { Version: { Status: 'CREATION_SUCCESSFUL' } },
      });
      services.give('POST /assets', { assetId: 'asset-9' });
      services.give('GET /assets/asset-9', {
        assetStatus: { state: 'ACTIVE' },
        assetProperties: [{ id: 'property-9', name: 'Temperature', dataType: 'DOUBLE' }],
      });
      services.give('PUT /assets/asset-9/properties/property-9', (body) => (rename(body), {}));
      services.give('DELETE /assets/asset-9', {});
    });

    /** From then on the property has the alias. */
    const rename = ({ propertyAlias }: Record<string, unknown>): void =>
      services.give('GET /assets/asset-9', {
        assetStatus: { state: 'ACTIVE' },
        assetProperties: [{ id: 'property-9', name: 'Temperature', dataType: 'DOUBLE', alias: propertyAlias }],
      });

    const ingestion = (...answers: object[]): void =>
      services.give(`GET ${QUICKSIGHT}/data-sets/iotlake-int/ingestions/prove-abc`, () => ({
        Ingestion: answers.length > 1 ? answers.shift() : answers[0],
      }));

    test('QuickSight imports, and the rows are the evidence', async () => {
      ingestion(
        { IngestionStatus: 'RUNNING' },
        { IngestionStatus: 'COMPLETED', RowInfo: { RowsIngested: 950, RowsDropped: 0 } },
      );
      const { context: given, outcome } = context('dashboard');
      await dashboard(given);
      expect([outcome()?.state, outcome()?.evidence]).toEqual([
        'proved',
        [
          'data source: CREATION_SUCCESSFUL',
          'data set: SPICE, 0 columns',
          'import prove-abc: 950 rows, 0 dropped',
          'dashboard: CREATION_SUCCESSFUL, 0 complaints',
        ],
      ]);
    });

    test('an import that fails, or a dashboard that complains, refutes it with their words', async () => {
      ingestion({ IngestionStatus: 'FAILED', ErrorInfo: { Message: 'epochDate is not supported' } });
      const failed = context('dashboard');
      await dashboard(failed.context);
      expect(failed.outcome()?.why).toBe('the import is FAILED: epochDate is not supported');
      ingestion({ IngestionStatus: 'COMPLETED' });
      const Errors = [{ Type: 'COLUMN_NOT_FOUND', Message: 'time' }];
      services.give(`GET ${QUICKSIGHT}/dashboards/iotlake-int`, {
        Dashboard: { Version: { Status: 'CREATION_FAILED', Errors } },
      });
      const complains = context('dashboard');
      await dashboard(complains.context);
      expect(complains.outcome()?.why).toBe('the dashboard is CREATION_FAILED: COLUMN_NOT_FOUND: time');
      const none = context('dashboard', false);
      await dashboard(none.context);
      expect(none.outcome()?.state).toBe('skipped');
    });

    test('SiteWise: an asset is made, named, looked at and deleted', async () => {
      const named: unknown[] = [];
      services.give('PUT /assets/asset-9/properties/property-9', (body) => (named.push(body), rename(body), {}));
      services.give('GET /properties/latest', { propertyValue: { value: { doubleValue: 21.5 } } });
      const { context: given, outcome } = context('sitewise');
      const asset = await TemporaryAsset.make(given, 'prove-abc');
      await asset?.receives();
      await asset?.remove();
      expect(named).toEqual([expect.objectContaining({ propertyAlias: 'prove-abcTemperature' })]);
      expect([outcome()?.state, outcome()?.evidence.at(-1)]).toEqual([
        'proved',
        'prove-abcTemperature is 21.5 (21.5 was sent)',
      ]);
      expect(services.asked.at(-1)).toBe('DELETE /assets/asset-9');
    });

    test('SiteWise: an asset that does not get its alias refutes it, and is deleted', async () => {
      services.give('PUT /assets/asset-9/properties/property-9', {});
      const { context: given, outcome } = context('sitewise');
      const quick = { ...given, patience: { ...PATIENCE, soon: { every: 20, atMost: 200 } } };
      expect(await TemporaryAsset.make(quick, 'prove-abc')).toBeUndefined();
      expect(outcome()?.why).toMatch(/does not have the alias prove-abcTemperature in time/);
      expect(services.asked.at(-1)).toBe('DELETE /assets/asset-9');
    });

    test('SiteWise: a value that does not come refutes it', async () => {
      services.take('GET /properties/latest');
      const { context: given, outcome } = context('sitewise');
      const quick = { ...given, patience: { ...PATIENCE, soon: { every: 20, atMost: 200 } } };
      const asset = await TemporaryAsset.make(quick, 'prove-abc');
      await asset?.receives();
      expect(outcome()?.why).toMatch(/^prove-abcTemperature got no value/);
    });
  });
});
