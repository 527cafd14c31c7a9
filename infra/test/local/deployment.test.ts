/**
 * The template of a release, deployed to a server that stands in for AWS, and what it made put to work: objects become
 * rows, a device is onboarded and heard, the backfill's batches are taken, all of it goes away and comes back.
 *
 * The functions are the zips of `make lambda`, those for this machine under the names that the template asks for.
 * What the server lacks is listed in `deploy.ts`, and checked to be all: `MISSING`. It also does not deliver an IoT rule's
 * messages to Firehose, so that the test does what the rule says (`bridge`); its Map has no batches, its token endpoint no
 * refresh and none of Cognito's refusals: `token-endpoint.ts` has both.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { LookupFunction } from 'node:net';
import { arch } from 'node:os';
import { join, relative, resolve } from 'node:path';

import { DescribeUserPoolClientCommand, RevokeTokenCommand } from '@aws-sdk/client-cognito-identity-provider';
import { ScanCommand } from '@aws-sdk/client-dynamodb';
import { FirehoseClient, PutRecordCommand } from '@aws-sdk/client-firehose';
import { GetTablesCommand } from '@aws-sdk/client-glue';
import {
  DescribeEndpointCommand,
  GetPolicyCommand,
  GetTopicRuleCommand,
  ListThingsCommand,
  type TopicRule,
} from '@aws-sdk/client-iot';
import { GetKeyRotationStatusCommand } from '@aws-sdk/client-kms';
import { InvokeCommand, LambdaClient, ListEventSourceMappingsCommand } from '@aws-sdk/client-lambda';
import {
  GetBucketPolicyCommand,
  GetBucketVersioningCommand,
  GetPublicAccessBlockCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { DescribeStateMachineCommand, SFNClient, UpdateStateMachineCommand } from '@aws-sdk/client-sfn';
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { connectAsync } from 'mqtt';

import { query, type Row } from '../../scripts/athena';
import { Aws, unlessMissing } from '../../scripts/aws';
import { configuration, output, stackOf } from '../../scripts/deployed';
import { environmentOf } from '../../scripts/doctor/environment';
import { examine } from '../../scripts/doctor/examine';
import { endToEnd } from '../../scripts/end-to-end/run';
import { CLAIMS, prove } from '../../scripts/prove/prove';
import { run } from '../../scripts/uninstall/uninstall';
import type { LiveStack } from '../../scripts/uninstall/stacks';
import { waitFor } from '../../scripts/waiting';
import { wizardValues } from '../../scripts/wizard/values';
import { argumentsFor } from '../batch';
import { Authority, Broker, describeWithBroker } from '../broker';
import { deploy, deployable, MISSING, releaseTemplate, uploadZips, type Body } from '../deploy';
import { CALLS } from '../permissions/calls';
import { HAS_SERVER, start, type StandIn } from '../scripts/stand-in';
import { refreshedBy, startTokenEndpoint, type AppClient } from '../token-endpoint';

const REPOSITORY = resolve(__dirname, '../../..');
const SAMPLE = join(REPOSITORY, 'fixtures', 'sample');
/** Where the zips are; a folder that is named must have them, else the test waits for them to be built. */
const ZIPS = resolve(process.env.IOTLAKE_ZIPS ?? join(REPOSITORY, 'target', 'lambda'));
const zip = (binary: string): string => join(ZIPS, `${binary}-${arch() === 'x64' ? 'x86_64' : arch()}.zip`);
const isReady = HAS_SERVER && (process.env.IOTLAKE_ZIPS !== undefined || existsSync(zip('ingest')));

const SOON = { every: 100, atMost: 60_000 };
const QUICK = { row: SOON, soon: SOON, run: SOON, stack: SOON };

jest.setTimeout(180_000);

const withZips = isReady
  ? describeWithBroker
  : (name: string, body: () => void): void => describe.skip(`${name} (run \`make lambda\` and \`make venv\`)`, body);

/** Every name leads to this machine. */
const toLoopback: LookupFunction = (_, options, found) => {
  if (options.all === true) found(null, [{ address: '127.0.0.1', family: 4 }]);
  else found(null, '127.0.0.1', 4);
};

withZips('the template of a release, deployed', () => {
  /** As it was synthesized, and without what the server does not know. */
  let whole: Body;
  let template: Body;
  let server: StandIn;
  let aws: Aws;
  let stack: LiveStack;
  let sqs: SQSClient;
  let lambda: LambdaClient;

  beforeAll(async () => {
    whole = releaseTemplate();
    template = deployable(whole);
    server = await start(true);
    aws = new Aws('eu-west-1');
    sqs = new SQSClient();
    lambda = new LambdaClient();
    await uploadZips(aws, (binary) => readFileSync(zip(binary)));
    expect(await deploy(aws, server, whole)).toContain(`Unrecognized resource types: [${MISSING.join(', ')}]`);
    expect(await deploy(aws, server, template)).toBe('CREATE_COMPLETE');
    stack = await stackOf(aws, 'int');
  });

  afterAll(async () => server.stop());

  async function put(Bucket: string, Key: string, Body: string | Buffer): Promise<void> {
    await aws.s3.send(new PutObjectCommand({ Bucket, Key, Body }));
  }

  /** Names of what the stack made of a type, whose logical name begins so. */
  function made(type: string, logical = ''): string[] {
    const found = stack.resources.filter((each) => each.type === type && each.logicalId.startsWith(logical));
    return found.map(({ physicalId }) => physicalId);
  }

  function theOnly(type: string, logical = ''): string {
    const found = made(type, logical);
    expect([type, logical, found.length]).toEqual([type, logical, 1]);
    return found[0] ?? '';
  }

  const ask = (sql: string): Promise<Row[]> =>
    query(aws.athena, { name: theOnly('AWS::Athena::WorkGroup') }, sql, { every: 50, atMost: 30_000 });

  async function count(table: string, condition = 'true'): Promise<number> {
    const [row] = await ask(`SELECT count(*) AS n FROM "${output(stack, 'glueDbName')}"."${table}" WHERE ${condition}`);
    return Number(row?.get('n'));
  }

  /** Messages that wait, are being worked on, or are given up. */
  async function left(): Promise<number[]> {
    const names = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const;
    const queues = ['IngestQueue', 'IngestDeadLetters'].map((logical) => theOnly('AWS::SQS::Queue', logical));
    const all = queues.map(async (QueueUrl) => {
      const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...names] }));
      return names.reduce((sum, name) => sum + Number(Attributes?.[name]), 0);
    });
    return Promise.all(all);
  }

  async function invoke(logical: string, event: object): Promise<{ error: string | undefined; said: string }> {
    const FunctionName = theOnly('AWS::Lambda::Function', logical);
    const Payload = Buffer.from(JSON.stringify(event));
    const answer = await lambda.send(new InvokeCommand({ FunctionName, Payload }));
    return { error: answer.FunctionError, said: Buffer.from(answer.Payload ?? []).toString() };
  }

  test('every resource is there', () => {
    // What depends on a condition is SiteWise's, which nobody asked for.
    const unconditional = Object.values(template.Resources).filter(({ Condition }) => Condition === undefined);
    const asked = unconditional.map(({ Type }) => Type);
    expect(stack.resources.map(({ type }) => type).sort()).toEqual(asked.sort());
  });

  test('what protects data is in force', async () => {
    for (const Bucket of made('AWS::S3::Bucket')) {
      const { Status } = await aws.s3.send(new GetBucketVersioningCommand({ Bucket }));
      const { Policy = '' } = await aws.s3.send(new GetBucketPolicyCommand({ Bucket }));
      const { PublicAccessBlockConfiguration: blocked } = await aws.s3.send(
        new GetPublicAccessBlockCommand({ Bucket }),
      );
      expect([Bucket, Status, Object.values(blocked ?? {})]).toEqual([Bucket, 'Enabled', [true, true, true, true]]);
      const { Statement } = JSON.parse(Policy) as { Statement: object[] };
      const tlsOnly = { Effect: 'Deny', Action: 's3:*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } };
      expect(Statement).toContainEqual(expect.objectContaining(tlsOnly));
    }
    const rotation = new GetKeyRotationStatusCommand({ KeyId: theOnly('AWS::KMS::Key') });
    expect((await aws.kms.send(rotation)).KeyRotationEnabled).toBe(true);
    const { policyDocument = '' } = await aws.iot.send(
      new GetPolicyCommand({ policyName: theOnly('AWS::IoT::Policy') }),
    );
    expect(policyDocument).toContain('${iot:Connection.Thing.ThingName}');
    expect(policyDocument).not.toContain('"Resource":"*"');
    const FunctionName = theOnly('AWS::Lambda::Function', 'IngestFunction');
    const { EventSourceMappings } = await lambda.send(new ListEventSourceMappingsCommand({ FunctionName }));
    expect(EventSourceMappings).toEqual([
      expect.objectContaining({ BatchSize: 10, FunctionResponseTypes: ['ReportBatchItemFailures'] }),
    ]);
  });

  test("tables and view are there before the first message, of the engine's making", async () => {
    const { TableList = [] } = await aws.glue.send(new GetTablesCommand({ DatabaseName: output(stack, 'glueDbName') }));
    const types = new Map(TableList.map(({ Name, TableType }) => [Name, TableType]));
    expect(types).toEqual(
      new Map([
        ['events', 'EXTERNAL_TABLE'],
        ['events_rejects', 'EXTERNAL_TABLE'],
        ['events_rigado', 'VIRTUAL_VIEW'],
        ['raw', 'EXTERNAL_TABLE'],
      ]),
    );
    expect(await count('events')).toBe(0);
  });

  test('objects that land are rows, and what is no record is a reject', async () => {
    const files = readdirSync(SAMPLE, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
    const keys = files.map((each) => relative(SAMPLE, join(each.parentPath, each.name))).sort();
    expect(keys).toHaveLength(12);
    // One that is no data, and one whose name has what names may have.
    const raw = output(stack, 'rawBucketName');
    await put(raw, '_rule-errors/2026/03/01/08/message.json', '{"is": "not data"}');
    await put(raw, '2026/03/01/08/a name+with %25 ü=.json', '{"device": {"deviceId": "odd-name"}}\n');
    for (const key of keys) await put(raw, key, readFileSync(join(SAMPLE, key)));

    const receipts = async (): Promise<number> => {
      const lake = { Bucket: output(stack, 'lakeBucketName'), Prefix: '_iotlake/receipts/events/' };
      return (await aws.s3.send(new ListObjectsV2Command(lake))).KeyCount ?? 0;
    };
    expect(await waitFor(SOON, async () => ((await receipts()) === 13 ? true : undefined))).toBe(true);
    expect(await waitFor(SOON, async () => ((await left()).every((n) => n === 0) ? true : undefined))).toBe(true);
    // README.md has the same counts of `iotlake backfill` over the same sample.
    expect(await count('events')).toBe(950 + 1);
    expect(await count('events_rejects')).toBe(10);
    expect(await count('events', `"device.deviceid" = 'odd-name'`)).toBe(1);
    expect(await count('events', `"hour" = '10'`)).toBeGreaterThan(100);
  });

  test("the backfill's batches are taken, and one that cannot be is an error that can be redriven", async () => {
    const payload = async (keys: string[]): Promise<object> => {
      const input = { BatchInput: { bucket: output(stack, 'rawBucketName') }, Items: keys.map((Key) => ({ Key })) };
      const stateMachineArn = theOnly('AWS::StepFunctions::StateMachine');
      const machine = await new SFNClient().send(new DescribeStateMachineCommand({ stateMachineArn }));
      const given = await argumentsFor(JSON.parse(machine.definition ?? '') as object, input);
      expect(given.FunctionName).toContain(theOnly('AWS::Lambda::Function', 'IngestFunction'));
      return given.Payload as object;
    };
    const raw = output(stack, 'rawBucketName');
    const { Contents = [] } = await aws.s3.send(new ListObjectsV2Command({ Bucket: raw, Prefix: '2026/03/01/08/' }));
    const keys = Contents.map(({ Key = '' }) => Key);
    expect(keys).toHaveLength(3);
    const done = await invoke('IngestFunction', await payload(keys));
    expect([done.error, JSON.parse(done.said)]).toEqual([undefined, expect.objectContaining({ already_done: 3 })]);
    // A folder as consoles make it is left out.
    const folder = await invoke('IngestFunction', await payload(['2026/03/01/08/']));
    expect(folder.error).toBeUndefined();
    await put(raw, 'no-hour/in-this-key.json', '{"a": 1}\n');
    const wrong = await invoke('IngestFunction', await payload([...keys, 'no-hour/in-this-key.json']));
    expect(wrong.error).toBeDefined();
    expect(wrong.said).toContain('no-hour/in-this-key.json');
  });

  /** What a device needs that the server lacks: a broker, a rule that hands on, a token endpoint. */
  async function reach(): Promise<{
    reached: { tokenEndpoint: string; api: string; broker: { port: number; ca: string; lookup: LookupFunction } };
    stop(): Promise<void>;
  }> {
    const { endpointAddress = '' } = await aws.iot.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
    const [name = ''] = endpointAddress.split(':');
    const trusted = await (await fetch(`${server.url}/_ministack/iot/ca.pem`)).text();
    const authority = new Authority();
    const broker = await Broker.start(authority, name, trusted);
    const rule = (await aws.iot.send(new GetTopicRuleCommand({ ruleName: theOnly('AWS::IoT::TopicRule') }))).rule;
    const rulesWork = await bridge(broker, rule);
    const tokens = await startTokenEndpoint({ client: clientOfPool, refresh: refreshedBy(aws.cognito) });
    const id = theOnly('AWS::ApiGatewayV2::Api');
    expect(output(stack, 'iotOnboardingApiUrl')).toContain(id);
    return {
      reached: {
        tokenEndpoint: tokens.url,
        api: `${server.url}/_aws/execute-api/${id}/`,
        broker: { port: broker.port, ca: authority.certificate, lookup: toLoopback },
      },
      async stop() {
        await tokens.stop();
        await rulesWork.stop();
        await broker.stop();
        authority.remove();
      },
    };
  }

  /**
   * A machine that ingests what lies under a prefix an object at a time, since the server's Map makes no batches; in the
   * older language, since its readers know no other.
   */
  function oneByOne(): object {
    const [Bucket, FunctionName] = [output(stack, 'rawBucketName'), theOnly('AWS::Lambda::Function', 'IngestFunction')];
    const Parameters = { FunctionName, Payload: { bucket: Bucket, 'objects.$': 'States.Array($)' } };
    const Resource = 'arn:aws:states:::lambda:invoke';
    return {
      StartAt: 'Ingest',
      States: {
        Ingest: {
          Type: 'Map',
          End: true,
          ItemReader: {
            Resource: 'arn:aws:states:::s3:listObjectsV2',
            Parameters: { Bucket, 'Prefix.$': '$.prefix' },
          },
          ItemSelector: { 'key.$': '$$.Map.Item.Value.Key' },
          ItemProcessor: {
            ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
            StartAt: 'One',
            States: { One: { Type: 'Task', End: true, Resource, Parameters } },
          },
        },
      },
    };
  }

  /** Nothing of a device is left: no thing, no record. */
  async function expectNoDevice(): Promise<void> {
    expect((await aws.iot.send(new ListThingsCommand({}))).things).toEqual([]);
    const { Count } = await aws.dynamoDb.send(new ScanCommand({ TableName: theOnly('AWS::DynamoDB::GlobalTable') }));
    expect(Count).toBe(0);
  }

  test('a device gets its identity, is heard, is a row, and goes', async () => {
    const { reached, stop } = await reach();
    const said: string[] = [];
    try {
      const secret = await configuration(aws, stack);
      const values = wizardValues((key) => output(stack, key), secret);
      expect(values.map(([label]) => label)).toHaveLength(4);
      const target = {
        ...reached,
        clientId: output(stack, 'cognitoAppClientId'),
        refreshToken: secret.get('cognitoRefreshToken') ?? '',
        serial: 'DEV_00000001',
        topic: 'data/test',
        arrived: async (deviceId: string): Promise<void> => {
          const there = `"device.deviceid" = '${deviceId}' AND "measurements.temperature" = 21.5 AND "ts" IS NOT NULL`;
          expect(await waitFor(SOON, async () => ((await count('events', there)) === 1 ? true : undefined))).toBe(true);
        },
      };
      const refused = await fetch(`${target.api}api/onboard/DEV_00000001`, { method: 'POST' });
      expect(refused.status).toBe(401);
      await endToEnd(target, (line) => said.push(line));
    } finally {
      await stop();
    }
    expect(said).toHaveLength(6);
    await expectNoDevice();
  });

  test('prove shows what the stand-in and this test have, and says why it skipped the rest', async () => {
    const { reached, stop } = await reach();
    // What the test does in the place of the server: a token endpoint, what the rule says, a Map without batches.
    const supplied = ['token', 'onboarding', 'rule', 'table', 'backfill'];
    const stateMachineArn = theOnly('AWS::StepFunctions::StateMachine');
    const definition = JSON.stringify(oneByOne());
    try {
      await new SFNClient().send(new UpdateStateMachineCommand({ stateMachineArn, definition }));
      const request = { only: [], destroys: false, standIn: true, supplied, reached, patience: QUICK };
      const outcomes = await prove(await environmentOf(aws, 'int'), request);
      const states = Object.fromEntries(outcomes.map(({ name, state, why }) => [name, why ?? state]));
      const skipped = CLAIMS.filter(({ standIn, name }) => standIn !== undefined && !supplied.includes(name));
      expect(states).toEqual({
        ...Object.fromEntries(skipped.map(({ name, standIn, onRequest }) => [name, onRequest ?? standIn])),
        token: 'proved',
        onboarding: 'proved',
        rule: 'proved',
        table: 'proved',
        alarms: 'proved',
        backfill: 'proved',
        'first-deployment': 'proved',
        'init-on-upgrade': expect.stringMatching(/^the function was never upgraded/),
        'same-name': expect.stringMatching(/--destroy asks for it$/),
      });
      const evidence = (name: string): readonly string[] => outcomes.find((each) => each.name === name)?.evidence ?? [];
      expect(evidence('token')).toHaveLength(6);
      expect(evidence('rule')[0]).toContain(`s3://${output(stack, 'rawBucketName')}/`);
      expect(evidence('alarms')).toHaveLength(made('AWS::CloudWatch::Alarm').length);
      expect(evidence('backfill').join('\n')).toMatch(
        /^with the poison: .*FAILED[\s\S]*: 12 objects in 12 batches, 11 objects done, 1 in batches that failed\nreceipts of the good objects: 11 of 11\nwithout it: .*SUCCEEDED/,
      );
      const Bucket = output(stack, 'rawBucketName');
      const { Contents = [] } = await aws.s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'prove-' }));
      expect(Contents).toEqual([]);
    } finally {
      await stop();
    }
    await expectNoDevice();
  });

  /** A client as the pool has it: what the template said of it, and what Cognito takes for granted. */
  async function clientOfPool(ClientId: string): Promise<AppClient | undefined> {
    const UserPoolId = output(stack, 'userPoolId');
    const described = aws.cognito.send(new DescribeUserPoolClientCommand({ UserPoolId, ClientId }));
    return (await unlessMissing(described))?.UserPoolClient as AppClient | undefined;
  }

  /** Does what the rule says, since the server does not: hands on what is published to where the rule points. */
  async function bridge(broker: Broker, rule: TopicRule | undefined): Promise<{ stop(): Promise<void> }> {
    const [, topic = ''] = /^SELECT \*, timestamp\(\) as ts FROM '(.*)'$/.exec(rule?.sql ?? '') ?? [];
    expect(rule?.ruleDisabled).toBe(false);
    const { deliveryStreamName, separator } = rule?.actions?.[0]?.firehose ?? {};
    expect([deliveryStreamName, separator]).toEqual([theOnly('AWS::KinesisFirehose::DeliveryStream'), '\n']);
    const firehose = new FirehoseClient();
    const deliveries: Promise<unknown>[] = [];
    const client = await connectAsync(`mqtt://127.0.0.1:${broker.plainPort}`);
    client.on('message', (_, message) => {
      const sent = { ...(JSON.parse(message.toString()) as object), ts: Date.now() };
      const Data = Buffer.from(`${JSON.stringify(sent)}${separator}`);
      const command = new PutRecordCommand({ DeliveryStreamName: deliveryStreamName, Record: { Data } });
      deliveries.push(firehose.send(command));
    });
    await client.subscribeAsync(topic, { qos: 1 });
    return {
      async stop() {
        await client.endAsync(true);
        await Promise.all(deliveries);
      },
    };
  }

  test('doctor finds every stage well, but for the view, which the server cannot read', async () => {
    const seen = await examine(await environmentOf(aws, 'int'));
    const broken = seen.stages.filter(({ state }) => state === 'broken' || state === 'unseen');
    expect(broken.flatMap(({ stage, problems }) => problems.map(({ what }) => `${stage}: ${what}`))).toEqual([
      expect.stringMatching(/^workgroup: Athena does not answer for events_rigado: /),
    ]);
    const facts = (name: string): string => JSON.stringify(seen.stages.find(({ stage }) => stage === name)?.facts);
    // The devices of the tests before, whose rows are the newest.
    expect(facts('receipts')).toMatch(/"([1-9]\d*) of \1 are done, 0 are late"/);
    expect(facts('workgroup')).toMatch(/\["events","[1-9]\d* rows in the newest hour"\]/);
    expect(facts('partitions')).toMatch(/"partition \d{4}\/\d\d\/\d\d\/\d\d","s3:/);
  });

  test("the wizard's token is refused once it is revoked, or if another client has it", async () => {
    const tokens = await startTokenEndpoint({ client: clientOfPool, refresh: refreshedBy(aws.cognito) });
    const [clientId, secret] = [output(stack, 'cognitoAppClientId'), await configuration(aws, stack)];
    const refreshToken = secret.get('cognitoRefreshToken') ?? '';
    const ask = async (client_id: string, asForm: boolean): Promise<unknown> => {
      const words = new URLSearchParams({ grant_type: 'refresh_token', client_id, refresh_token: refreshToken });
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const [url, body] = asForm ? [tokens.url, words.toString()] : [`${tokens.url}?${words}`, ''];
      return (await fetch(url, { method: 'POST', headers, body })).json();
    };
    try {
      for (const asForm of [false, true]) {
        expect(await ask(clientId, asForm)).toEqual({ access_token: expect.any(String) });
        expect(await ask('another', asForm)).toEqual({ error: 'invalid_client' });
      }
      await aws.cognito.send(new RevokeTokenCommand({ Token: refreshToken, ClientId: clientId }));
      for (const asForm of [false, true]) expect(await ask(clientId, asForm)).toEqual({ error: 'invalid_grant' });
    } finally {
      await tokens.stop();
    }
  });

  test('all of it goes, and the same name can be deployed again', async () => {
    const quick = { stack: { every: 50, atMost: 60_000 }, detached: { every: 50, atMost: 5_000 }, policy: 50 };
    const request = { environment: 'int', deletesData: true, tables: [] };
    const remains = await run(aws, aws, request, () => undefined, quick);
    expect(remains.filter(({ goesByItself }) => !goesByItself)).toEqual([]);
    expect(await deploy(aws, server, template)).toBe('CREATE_COMPLETE');
  });

  test('prove does the same, if it is asked to destroy', async () => {
    const only = ['full-buckets', 'same-name'];
    const before = await environmentOf(aws, 'int');
    const request = { only, destroys: true, standIn: true, patience: QUICK };
    const outcomes = await prove(before, request);
    const same = outcomes.find(({ name }) => name === 'same-name');
    expect([same?.state, same?.why]).toEqual(['proved', undefined]);
    const after = await environmentOf(aws, 'int');
    expect(after.stack.status).toBe('CREATE_COMPLETE');
    expect(after.stack.id).not.toBe(before.stack.id);
    const { Buckets = [] } = await aws.s3.send(new ListBucketsCommand({}));
    expect(Buckets.filter(({ Name }) => Name?.startsWith('iotlake-prove-'))).toEqual([]);
  });

  test('what the functions asked for is what the table of calls says', () => {
    const recorded = Object.entries(CALLS).flatMap(([role, calls]) =>
      calls
        .filter(({ how }) => how === 'recorded')
        .flatMap(({ actions }) => actions.map((action) => `${role} ${action}`)),
    );
    const seen = server.recorder?.seen.map(({ role, action }) => `${role} ${action}`);
    expect([...new Set(seen)].sort()).toEqual([...new Set(recorded)].sort());
  });
});
