/**
 * The stages of `doctor` in QuickSight and SiteWise, which no stand-in for AWS has: both are answered for as AWS documents
 * its answers, and are then broken in each way that the stages tell.
 */
import { CreateRoleCommand, DeleteRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { CreateTopicRuleCommand, DisableTopicRuleCommand, EnableTopicRuleCommand } from '@aws-sdk/client-iot';
import {
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  DeleteLogGroupCommand,
  PutLogEventsCommand,
} from '@aws-sdk/client-cloudwatch-logs';

import { Aws } from '../../scripts/aws';
import { Environment } from '../../scripts/doctor/environment';
import { lookAt, type Finding } from '../../scripts/doctor/look';
import { dashboards } from '../../scripts/doctor/stages/dashboards';
import { sitewise } from '../../scripts/doctor/stages/sitewise';
import type { LiveStack, Resource } from '../../scripts/uninstall/stacks';
import { Services } from '../services';
import { describeWithServer, start, type StandIn } from './stand-in';

jest.setTimeout(90_000);

const ACCOUNT = '123456789012';
const ROLE = `arn:aws:iam::${ACCOUNT}:role/dashboards`;
const QUICKSIGHT = `GET /accounts/${ACCOUNT}`;
const NOW = Date.parse('2026-11-24T10:00:00Z');
const REFUSED = '/iotlake/refused';

function stack(
  name: string,
  resources: readonly (readonly [type: string, logicalId: string, id: string])[],
): LiveStack {
  const of = ([type, logicalId, physicalId]: readonly [string, string, string]): Resource => ({
    type,
    logicalId,
    physicalId,
    status: 'CREATE_COMPLETE',
  });
  const id = `arn:aws:cloudformation:eu-west-1:${ACCOUNT}:stack/${name}/1`;
  const outputs = new Map([['lakeBucketName', 'lake']]);
  return { id, name, status: 'CREATE_COMPLETE', outputs, resources: resources.map(of) };
}

const LAKE = stack('iotlake-int', [
  ['AWS::Athena::WorkGroup', 'DataLakeWorkgroup', 'iotlake-int'],
  ['AWS::IoTSiteWise::AssetModel', 'SiteWiseRuuviTag', 'model-1'],
  ['AWS::IoT::TopicRule', 'SiteWiseLiveTemperature', 'iotlake_int_live_temperature'],
  ['AWS::Logs::LogGroup', 'SiteWiseRefused', REFUSED],
]);

/** Answers of QuickSight for a deployment that is well. */
const SOURCE = {
  DataSource: {
    Status: 'CREATION_SUCCESSFUL',
    DataSourceParameters: { AthenaParameters: { WorkGroup: 'iotlake-int', RoleArn: ROLE } },
  },
};
const SET = { DataSet: { ImportMode: 'SPICE', OutputColumns: [{ Name: 'ts', Type: 'INTEGER' }] } };
const imported = (status: string, more: object = {}): object => ({
  Ingestions: [{ IngestionStatus: status, CreatedTime: NOW / 1_000 - 600, RowInfo: { RowsIngested: 950 }, ...more }],
});
const BOARD = {
  Dashboard: { Version: { Status: 'CREATION_SUCCESSFUL' }, LastPublishedTime: NOW / 1_000 - 86_400 * 3 },
};

describeWithServer('doctor, in services that the stand-in lacks', () => {
  let server: StandIn;
  let services: Services;
  let aws: Aws;

  beforeAll(async () => {
    server = await start();
    services = await Services.start();
    aws = new Aws('eu-west-1');
    await aws.iam.send(new CreateRoleCommand({ RoleName: 'dashboards', AssumeRolePolicyDocument: '{}' }));
    const sql = "SELECT * FROM 'data/#'";
    const topicRulePayload = { sql, actions: [{ republish: { roleArn: ROLE, topic: 'x' } }] };
    await aws.iot.send(new CreateTopicRuleCommand({ ruleName: 'iotlake_int_live_temperature', topicRulePayload }));
  });

  afterAll(async () => {
    await services.stop();
    await server.stop();
  });

  beforeEach(async () => {
    services.give(`${QUICKSIGHT}/data-sources/iotlake-int`, SOURCE);
    services.give(`${QUICKSIGHT}/data-sets/iotlake-int`, SET);
    services.give(`${QUICKSIGHT}/data-sets/iotlake-int/ingestions`, imported('COMPLETED'));
    services.give(`${QUICKSIGHT}/dashboards/iotlake-int`, BOARD);
    services.give('GET /asset-models/model-1', {
      assetModelName: 'iotlake-int-RuuviTag',
      assetModelStatus: { state: 'ACTIVE' },
    });
    services.give('GET /assets', { assetSummaries: [{ id: 'asset-1' }] });
    services.give('GET /assets/asset-1/properties', {
      assetPropertySummaries: [{ id: 'p-0' }, { id: 'p-1', alias: 'c0ffee000001Temperature' }],
    });
    services.give('GET /properties/latest', {
      propertyValue: { value: { doubleValue: 21.5 }, timestamp: { timeInSeconds: NOW / 1_000 - 120 } },
    });
    await allow(true);
  });

  async function allow(isAllowed: boolean): Promise<void> {
    const name = { RoleName: 'dashboards', PolicyName: 'all' };
    const Statement = [{ Effect: 'Allow', Action: ['s3:*', 'athena:*'], Resource: '*' }];
    const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
    await aws.iam.send(new PutRolePolicyCommand({ ...name, PolicyDocument }));
    if (!isAllowed) await aws.iam.send(new DeleteRolePolicyCommand(name));
  }

  const look = async (stage: typeof dashboards, second?: LiveStack): Promise<Finding> =>
    lookAt(stage, new Environment('int', aws, LAKE, second, () => NOW));
  const boards = async (): Promise<Finding> => look(dashboards, stack('iotlake-dashboards-int', []));

  test('a data source and a data set that are well', async () => {
    const seen = await boards();
    expect([seen.state, seen.problems]).toEqual(['well', []]);
    expect(Object.fromEntries(seen.facts)).toEqual({
      'data source': 'CREATION_SUCCESSFUL, of iotlake-int',
      role: 'dashboards may do what it needs',
      'data set': 'SPICE, 1 columns',
      'last import': 'COMPLETED, 10 min ago, 950 rows',
      dashboard: 'CREATION_SUCCESSFUL, published 3 days ago',
    });
    expect((await look(dashboards)).state).toBe('absent');
  });

  const failed = { ErrorInfo: { Type: 'DATA_SOURCE_AUTH_FAILED', Message: 'no access to the bucket' } };
  const brokenBoards: [string, () => void | Promise<void>, RegExp][] = [
    ['the source is gone', () => services.take(`${QUICKSIGHT}/data-sources/iotlake-int`), /the data source .* is gone/],
    ['the set is gone', () => services.take(`${QUICKSIGHT}/data-sets/iotlake-int`), /the data set .* is gone/],
    ['the dashboard is gone', () => services.take(`${QUICKSIGHT}/dashboards/iotlake-int`), /the dashboard .* is gone/],
    [
      'the source was not made',
      () =>
        services.give(`${QUICKSIGHT}/data-sources/iotlake-int`, {
          DataSource: {
            ...SOURCE.DataSource,
            Status: 'CREATION_FAILED',
            ErrorInfo: { Type: 'ACCESS_DENIED', Message: 'no' },
          },
        }),
      /the data source is CREATION_FAILED: ACCESS_DENIED no/,
    ],
    [
      'its role may not',
      async () => allow(false),
      /the role dashboards may not s3:GetObject .*athena:StartQueryExecution/,
    ],
    [
      'the last import failed',
      () => services.give(`${QUICKSIGHT}/data-sets/iotlake-int/ingestions`, imported('FAILED', failed)),
      /the last import failed: DATA_SOURCE_AUTH_FAILED no access to the bucket/,
    ],
    [
      'the dashboard complains',
      () =>
        services.give(`${QUICKSIGHT}/dashboards/iotlake-int`, {
          Dashboard: {
            Version: { Status: 'CREATION_FAILED', Errors: [{ Type: 'COLUMN_NOT_FOUND', Message: 'time' }] },
          },
        }),
      /the dashboard iotlake-int is CREATION_FAILED: COLUMN_NOT_FOUND: time/,
    ],
  ];
  test.each(brokenBoards)('data source and data set: %s', async (_, broken, said) => {
    await broken();
    const seen = await boards();
    expect([seen.state, seen.problems[0]?.what]).toEqual(['broken', expect.stringMatching(said)]);
  });

  test('SiteWise that is well', async () => {
    const seen = await look(sitewise);
    expect([seen.state, seen.problems]).toEqual(['well', []]);
    expect(Object.fromEntries(seen.facts)).toEqual({
      'iotlake-int-RuuviTag': 'ACTIVE, 1 assets',
      'newest value': '2 min ago',
    });
  });

  test('SiteWise: a model is gone, or failed', async () => {
    services.give('GET /asset-models/model-1', {
      assetModelName: 'iotlake-int-RuuviTag',
      assetModelStatus: { state: 'FAILED', error: { message: 'a name is taken' } },
    });
    expect((await look(sitewise)).problems[0]?.what).toBe('the model iotlake-int-RuuviTag is FAILED: a name is taken');
    services.take('GET /asset-models/model-1');
    expect((await look(sitewise)).problems[0]?.what).toBe('the model model-1 is gone');
  });

  test('SiteWise: a rule is disabled', async () => {
    const ruleName = 'iotlake_int_live_temperature';
    await aws.iot.send(new DisableTopicRuleCommand({ ruleName }));
    const seen = await look(sitewise);
    await aws.iot.send(new EnableTopicRuleCommand({ ruleName }));
    expect(seen.problems).toEqual([
      { what: `the rule ${ruleName} is disabled`, remedy: `aws iot enable-topic-rule --rule-name ${ruleName}` },
    ]);
  });

  test('SiteWise: without a value it is quiet, and broken if values are refused', async () => {
    services.take('GET /properties/latest');
    expect((await look(sitewise)).state).toBe('quiet');
    await aws.logs.send(new CreateLogGroupCommand({ logGroupName: REFUSED }));
    await aws.logs.send(new CreateLogStreamCommand({ logGroupName: REFUSED, logStreamName: 's' }));
    const logEvents = [{ timestamp: NOW - 60_000, message: 'property alias does not exist' }];
    await aws.logs.send(new PutLogEventsCommand({ logGroupName: REFUSED, logStreamName: 's', logEvents }));
    const seen = await look(sitewise);
    await aws.logs.send(new DeleteLogGroupCommand({ logGroupName: REFUSED }));
    expect(seen.problems[0]?.what).toMatch(/no property has a value, and SiteWise refuses/);
    expect(seen.problems[0]?.remedy).toMatch(/sitewiseDevices/);
    expect(Object.fromEntries(seen.facts)['last refused']).toBe('1 min ago: property alias does not exist');
  });

  test('what AWS does not show is unseen, never well', async () => {
    const refuse = {
      name: 'x',
      examine: async (): Promise<void> => Promise.reject(Object.assign(new Error('no'), { name: 'AccessDenied' })),
    };
    const seen = await lookAt(refuse, new Environment('int', aws, LAKE, undefined));
    expect([seen.state, seen.note]).toEqual(['unseen', 'AccessDenied: no']);
  });
});
