/**
 * `doctor` against the template of a release on a server that stands in for AWS: well as it was deployed, and then broken
 * on purpose at each stage in turn. What the engine would have written is put there by the test; its own tables and files
 * are looked at in `local/deployment.test.ts`. QuickSight and SiteWise, which the server lacks, are in
 * `doctor-services.test.ts`.
 */
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

import { UpdateWorkGroupCommand } from '@aws-sdk/client-athena';
import { PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { UpdateUserPoolClientCommand } from '@aws-sdk/client-cognito-identity-provider';
import { DeleteItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { CreateTableCommand, DeletePartitionCommand, DeleteTableCommand } from '@aws-sdk/client-glue';
import {
  DeleteRolePolicyCommand,
  GetRolePolicyCommand,
  ListRolePoliciesCommand,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  AttachPolicyCommand,
  CreateKeysAndCertificateCommand,
  DetachPolicyCommand,
  DisableTopicRuleCommand,
  EnableTopicRuleCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import {
  DeleteFunctionConcurrencyCommand,
  ListEventSourceMappingsCommand,
  PutFunctionConcurrencyCommand,
  UpdateEventSourceMappingCommand,
} from '@aws-sdk/client-lambda';
import {
  DeleteObjectCommand,
  GetBucketNotificationConfigurationCommand,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import {
  GetQueueAttributesCommand,
  PurgeQueueCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
} from '@aws-sdk/client-sqs';

import { Aws } from '../../scripts/aws';
import { Environment, environmentOf } from '../../scripts/doctor/environment';
import { examine, shown, STAGES, type Examination } from '../../scripts/doctor/examine';
import { lookAt } from '../../scripts/doctor/look';
import { receiptKey } from '../../scripts/doctor/stages/receipts';
import { waitFor } from '../../scripts/waiting';
import { deployWithoutEngine } from '../deploy';
import { HOUR, ingestOne, partition, RAW_KEY, tables } from '../engine';
import { describeWithServer, start, type StandIn } from './stand-in';

jest.setTimeout(300_000);

const INFRA = resolve(__dirname, '../..');

/** Something that breaks a stage, what `doctor` then says, and how it is mended. */
interface Break {
  readonly stage: string;
  readonly what: string;
  readonly break: () => Promise<unknown>;
  readonly said: RegExp;
  readonly remedy: RegExp;
  readonly mend: () => Promise<unknown>;
  /** How much later it is looked at, in milliseconds. */
  readonly later?: number;
}

describeWithServer('doctor', () => {
  let server: StandIn;
  let aws: Aws;
  let environment: Environment;

  beforeAll(async () => {
    server = await start();
    aws = new Aws('eu-west-1');
    expect(await deployWithoutEngine(aws, server)).toBe('CREATE_COMPLETE');
    environment = await environmentOf(aws, 'int');
    await ingestOne(environment);
    const QueueUrl = environment.get('AWS::SQS::Queue', 'IngestQueue');
    const all = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] });
    const empty = await waitFor({ every: 100, atMost: 60_000 }, async () => {
      const { Attributes = {} } = await aws.sqs.send(all);
      const left =
        Number(Attributes.ApproximateNumberOfMessages) + Number(Attributes.ApproximateNumberOfMessagesNotVisible);
      return left === 0 ? true : undefined;
    });
    expect(empty).toBe(true);
  });

  afterAll(async () => server.stop());

  const look = async (later = 0): Promise<Examination> =>
    examine(new Environment('int', aws, environment.stack, undefined, () => Date.now() + later));

  /** Runs the command as a person does. */
  async function typed(...words: string[]): Promise<{ code: number | null; out: string; err: string }> {
    const child = spawn(join(INFRA, 'node_modules', '.bin', 'tsx'), [join('scripts', 'doctor.ts'), ...words], {
      cwd: INFRA,
      env: process.env,
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (part: Buffer) => (out += part.toString()));
    child.stderr.on('data', (part: Buffer) => (err += part.toString()));
    const code = await new Promise<number | null>((ended) => child.once('close', ended));
    return { code, out, err };
  }

  /** Takes a policy from a role, and gives it back. */
  function roleOf(logical: string): { take: () => Promise<void>; give: () => Promise<void> } {
    let kept: { PolicyName: string; PolicyDocument: string } | undefined;
    const RoleName = (): string => environment.get('AWS::IAM::Role', logical);
    return {
      async take() {
        const { PolicyNames = [] } = await aws.iam.send(new ListRolePoliciesCommand({ RoleName: RoleName() }));
        const PolicyName = PolicyNames[0] ?? '';
        const asked = new GetRolePolicyCommand({ RoleName: RoleName(), PolicyName });
        const { PolicyDocument = '' } = await aws.iam.send(asked);
        kept = { PolicyName, PolicyDocument: decodeURIComponent(PolicyDocument) };
        await aws.iam.send(new DeleteRolePolicyCommand({ RoleName: RoleName(), PolicyName }));
      },
      async give() {
        if (kept !== undefined) await aws.iam.send(new PutRolePolicyCommand({ RoleName: RoleName(), ...kept }));
      },
    };
  }

  test('as it is deployed every stage is well, or quiet, or not asked for', async () => {
    const seen = await look();
    expect(seen.stages.map(({ stage }) => stage)).toEqual(STAGES.map(({ name }) => name));
    expect(Object.fromEntries(seen.stages.map(({ stage, state }) => [stage, state]))).toEqual({
      device: 'quiet',
      // The stand-in counts nothing of a rule and of Firehose.
      rule: 'quiet',
      Firehose: 'quiet',
      'raw bucket': 'well',
      notification: 'well',
      queue: 'well',
      function: 'well',
      'dead letters': 'well',
      receipts: 'well',
      table: 'well',
      partitions: 'well',
      view: 'well',
      workgroup: 'well',
      'data source and data set': 'absent',
      SiteWise: 'absent',
    });
    expect([seen.first, seen.unseen]).toEqual([undefined, []]);
    const text = shown(seen);
    expect(text).toContain(`${RAW_KEY}, `);
    expect(text).toContain('newest raw objects: 1 of 1 are done, 0 are late');
    expect(text).toContain('events: 2 rows in the newest hour');
    expect(text).toMatch(/nothing is broken$/);
  });

  const queueUrl = (): string => environment.get('AWS::SQS::Queue', 'IngestQueue');
  const raw = (): string => environment.output('rawBucketName');
  const database = (): string => environment.output('glueDbName');
  const put = async (Bucket: string, Key: string, Body = 'x'): Promise<unknown> =>
    aws.s3.send(new PutObjectCommand({ Bucket, Key, Body }));
  const remove = async (Bucket: string, Key: string): Promise<unknown> =>
    aws.s3.send(new DeleteObjectCommand({ Bucket, Key }));
  const client = async (AllowedOAuthFlowsUserPoolClient: boolean): Promise<unknown> =>
    aws.cognito.send(
      new UpdateUserPoolClientCommand({
        UserPoolId: environment.output('userPoolId'),
        ClientId: environment.output('cognitoAppClientId'),
        AllowedOAuthFlowsUserPoolClient,
        AllowedOAuthFlows: AllowedOAuthFlowsUserPoolClient ? ['code'] : [],
        AllowedOAuthScopes: AllowedOAuthFlowsUserPoolClient ? ['openid'] : [],
        CallbackURLs: ['https://localhost/'],
      }),
    );
  let certificate = { certificateId: '', certificateArn: '' };
  const device = { deviceGroup: { S: 'rigado_quickstart' }, serialNumber: { S: 'DEV_1' } };
  /** A device on record, with an active certificate, as onboarding leaves it. */
  async function onboarded(): Promise<void> {
    const { certificateId = '', certificateArn = '' } = await aws.iot.send(
      new CreateKeysAndCertificateCommand({ setAsActive: true }),
    );
    certificate = { certificateId, certificateArn };
    const TableName = environment.get('AWS::DynamoDB::GlobalTable');
    const Item = { ...device, certificateArn: { S: certificateArn }, certificateId: { S: certificateId } };
    await aws.dynamoDb.send(new PutItemCommand({ TableName, Item }));
    const policyName = environment.get('AWS::IoT::Policy');
    await aws.iot.send(new AttachPolicyCommand({ policyName, target: certificateArn }));
  }
  async function forgotten(): Promise<void> {
    const TableName = environment.get('AWS::DynamoDB::GlobalTable');
    await aws.dynamoDb.send(new DeleteItemCommand({ TableName, Key: device }));
  }
  const [ruleRole, firehoseRole, ingestRole] = ['RawDeliveryRuleRole', 'RawDeliveryFirehoseRole', 'IngestRole'].map(
    roleOf,
  );
  let kept: Record<string, string> = {};
  /** Sets an attribute of the queue, and keeps what it was. */
  async function attribute(name: 'Policy' | 'RedrivePolicy', value: string): Promise<void> {
    const asked = new GetQueueAttributesCommand({ QueueUrl: queueUrl(), AttributeNames: [name] });
    kept = { [name]: (await aws.sqs.send(asked)).Attributes?.[name] ?? '' };
    await aws.sqs.send(new SetQueueAttributesCommand({ QueueUrl: queueUrl(), Attributes: { [name]: value } }));
  }
  const putBack = async (): Promise<unknown> =>
    aws.sqs.send(new SetQueueAttributesCommand({ QueueUrl: queueUrl(), Attributes: kept }));
  let notified: object = {};
  async function eventSource(Enabled: boolean): Promise<void> {
    const FunctionName = environment.get('AWS::Lambda::Function', 'IngestFunction');
    const { EventSourceMappings = [] } = await aws.lambda.send(new ListEventSourceMappingsCommand({ FunctionName }));
    await aws.lambda.send(new UpdateEventSourceMappingCommand({ UUID: EventSourceMappings[0]?.UUID, Enabled }));
  }
  const tableInput = (index: number) => async (): Promise<unknown> =>
    aws.glue.send(new CreateTableCommand({ DatabaseName: database(), TableInput: tables(environment)[index] }));
  const dropTable = async (Name: string): Promise<unknown> =>
    aws.glue.send(new DeleteTableCommand({ DatabaseName: database(), Name }));
  const workgroup = async (State: 'ENABLED' | 'DISABLED'): Promise<unknown> =>
    aws.athena.send(new UpdateWorkGroupCommand({ WorkGroup: environment.get('AWS::Athena::WorkGroup'), State }));
  const ruleName = (): string => environment.get('AWS::IoT::TopicRule');

  const breaks: Break[] = [
    {
      stage: 'device',
      what: "the wizard's client may not refresh",
      break: async () => client(false),
      said: /may not refresh at the token endpoint/,
      remedy: /deploy again/,
      mend: async () => client(true),
    },
    {
      stage: 'device',
      what: 'a certificate is switched off',
      async break() {
        await onboarded();
        await aws.iot.send(
          new UpdateCertificateCommand({ certificateId: certificate.certificateId, newStatus: 'INACTIVE' }),
        );
      },
      said: /the certificate of DEV_1 is INACTIVE/,
      remedy: /aws iot update-certificate --certificate-id \w+ --new-status ACTIVE/,
      mend: forgotten,
    },
    {
      stage: 'device',
      what: 'a certificate has lost its policy',
      async break() {
        await onboarded();
        const policyName = environment.get('AWS::IoT::Policy');
        await aws.iot.send(new DetachPolicyCommand({ policyName, target: certificate.certificateArn }));
      },
      said: /the certificate of DEV_1 has no policy/,
      remedy: /aws iot attach-policy --policy-name iotlake-device-int/,
      mend: forgotten,
    },
    {
      stage: 'rule',
      what: 'the rule is disabled',
      break: async () => aws.iot.send(new DisableTopicRuleCommand({ ruleName: ruleName() })),
      said: /the rule iotlake_int is disabled/,
      remedy: /^aws iot enable-topic-rule --rule-name iotlake_int$/,
      mend: async () => aws.iot.send(new EnableTopicRuleCommand({ ruleName: ruleName() })),
    },
    {
      stage: 'rule',
      what: 'its role has lost its policy',
      break: async () => ruleRole!.take(),
      said: /the role .*RuleRole.* may not firehose:PutRecord/,
      remedy: /deploy again/,
      mend: async () => ruleRole!.give(),
    },
    {
      stage: 'rule',
      what: 'its last message could not be handed on',
      break: async () =>
        put(
          raw(),
          '_rule-errors/2026/03/01/09/message.json',
          JSON.stringify({ failures: [{ failedAction: 'FirehoseAction', errorMessage: 'Service is unavailable' }] }),
        ),
      said: /could not be handed on: FirehoseAction: Service is unavailable/,
      remedy: /publish them again/,
      mend: async () => remove(raw(), '_rule-errors/2026/03/01/09/message.json'),
    },
    {
      stage: 'Firehose',
      what: 'its role has lost its policy',
      break: async () => firehoseRole!.take(),
      said: /the role .*FirehoseRole.* may not s3:PutObject/,
      remedy: /deploy again/,
      mend: async () => firehoseRole!.give(),
    },
    {
      stage: 'raw bucket',
      what: 'what came last is no data',
      break: async () => put(raw(), 'processing-failed/2026/03/01/09/object'),
      said: /what came last lies under processing-failed/,
      remedy: /errorMessage/,
      mend: async () => remove(raw(), 'processing-failed/2026/03/01/09/object'),
    },
    {
      stage: 'notification',
      what: 'somebody replaced the configuration of the bucket',
      async break() {
        const asked = new GetBucketNotificationConfigurationCommand({ Bucket: raw() });
        const { QueueConfigurations } = await aws.s3.send(asked);
        notified = { QueueConfigurations };
        await aws.s3.send(
          new PutBucketNotificationConfigurationCommand({ Bucket: raw(), NotificationConfiguration: {} }),
        );
      },
      said: /does not tell the queue .* of its objects/,
      remedy: /put-bucket-notification-configuration/,
      mend: async () =>
        aws.s3.send(
          new PutBucketNotificationConfigurationCommand({ Bucket: raw(), NotificationConfiguration: notified }),
        ),
    },
    {
      stage: 'queue',
      what: 'S3 may not send',
      break: async () => attribute('Policy', JSON.stringify({ Version: '2012-10-17', Statement: [] })),
      said: /does not let S3 send/,
      remedy: /deploy again/,
      mend: putBack,
    },
    {
      stage: 'queue',
      what: 'it does not give up',
      break: async () => attribute('RedrivePolicy', ''),
      said: /gives up to nowhere/,
      remedy: /redrive policy/,
      mend: putBack,
    },
    {
      stage: 'function',
      what: 'nothing hands it messages',
      break: async () => eventSource(false),
      said: /the event source of the function is Disabl/,
      remedy: /aws lambda update-event-source-mapping --uuid \S+ --enabled/,
      mend: async () => eventSource(true),
    },
    {
      stage: 'function',
      what: 'it may not run',
      break: async () =>
        aws.lambda.send(
          new PutFunctionConcurrencyCommand({
            FunctionName: environment.get('AWS::Lambda::Function', 'IngestFunction'),
            ReservedConcurrentExecutions: 0,
          }),
        ),
      said: /its reserved concurrency is 0/,
      remedy: /aws lambda delete-function-concurrency/,
      mend: async () =>
        aws.lambda.send(
          new DeleteFunctionConcurrencyCommand({
            FunctionName: environment.get('AWS::Lambda::Function', 'IngestFunction'),
          }),
        ),
    },
    {
      stage: 'function',
      what: 'its role has lost its policy',
      break: async () => ingestRole!.take(),
      said: /the role .*IngestRole.* may not s3:GetObject/,
      remedy: /deploy again/,
      mend: async () => ingestRole!.give(),
    },
    {
      stage: 'dead letters',
      what: 'an object was given up',
      break: async () =>
        aws.sqs.send(
          new SendMessageCommand({
            QueueUrl: environment.get('AWS::SQS::Queue', 'IngestDeadLetters'),
            MessageBody: JSON.stringify({
              Records: [{ s3: { bucket: { name: 'raw' }, object: { key: 'a+%C3%BC' } } }],
            }),
          }),
        ),
      said: /1 messages were given up/,
      remedy: /aws sqs start-message-move-task --source-arn arn:aws:sqs:/,
      mend: async () =>
        aws.sqs.send(new PurgeQueueCommand({ QueueUrl: environment.get('AWS::SQS::Queue', 'IngestDeadLetters') })),
    },
    {
      stage: 'receipts',
      what: 'an object was never ingested',
      break: async () => put(raw(), `${HOUR.join('/')}/iot-2`),
      later: 3_600_000,
      said: /1 of the newest 2 raw objects are not done after 15 minutes, such as s3:.*\/iot-2/,
      remedy: /iotlake backfill 's3:\/\/.*\/iot-2'/,
      mend: async () => remove(raw(), `${HOUR.join('/')}/iot-2`),
    },
    {
      stage: 'table',
      what: 'a table was dropped',
      break: async () => dropTable('events_rejects'),
      said: /the table iotlake_int.events_rejects is gone/,
      remedy: /"init": true/,
      mend: tableInput(1),
    },
    {
      stage: 'partitions',
      what: 'a partition was dropped',
      break: async () =>
        aws.glue.send(
          new DeletePartitionCommand({ DatabaseName: database(), TableName: 'events', PartitionValues: [...HOUR] }),
        ),
      said: /the hour 2026\/03\/01\/08 has files, but no partition in events/,
      remedy:
        /ADD IF NOT EXISTS PARTITION \(year='2026', month='03', day='01', hour='08'\) LOCATION 's3:\/\/[^']*\/events\/year=/,
      mend: async () => aws.glue.send(partition(environment, 'events')),
    },
    {
      stage: 'view',
      what: 'the view was dropped',
      break: async () => dropTable('events_rigado'),
      said: /the view iotlake_int.events_rigado is gone/,
      remedy: /"init": true/,
      async mend() {
        await tableInput(2)();
        await aws.glue.send(partition(environment, 'events_rigado'));
      },
    },
    {
      stage: 'workgroup',
      what: 'it was switched off',
      break: async () => workgroup('DISABLED'),
      said: /the workgroup iotlake-int is DISABLED/,
      remedy: /aws athena update-work-group --work-group iotlake-int --state ENABLED/,
      mend: async () => workgroup('ENABLED'),
    },
  ];

  test.each(breaks.map((each) => [each.stage, each.what, each] as const))('%s: %s', async (stage, _, each) => {
    await each.break();
    try {
      const seen = await look(each.later);
      const [problem] = seen.first?.problems ?? [];
      expect([seen.first?.stage, problem?.what]).toEqual([stage, expect.stringMatching(each.said)]);
      expect(problem?.remedy).toMatch(each.remedy);
      expect(seen.stages).toHaveLength(STAGES.length);
    } finally {
      await each.mend();
    }
    // Mended, the stage is as it was.
    const mended = STAGES.find(({ name }) => name === stage);
    expect((await lookAt(mended!, environment)).problems).toEqual([]);
  });

  test('what CloudWatch counts of a rule is told by the type of its actions', async () => {
    const Dimensions = [
      { Name: 'RuleName', Value: 'iotlake_int' },
      { Name: 'ActionType', Value: 'Some type' },
    ];
    const datum = { MetricName: 'Failure', Dimensions, Value: 3, Timestamp: new Date(Date.now() - 60_000) };
    await aws.cloudWatch.send(new PutMetricDataCommand({ Namespace: 'AWS/IoT', MetricData: [datum] }));
    expect(shown(await look())).toContain('RuleMessageThrottled -, Failure of Some type 3\n');
  });

  test('there is a break for each stage that the stand-in has', () => {
    const broken = new Set(breaks.map(({ stage }) => stage));
    const others = STAGES.map(({ name }) => name).filter((name) => !broken.has(name));
    expect(others).toEqual(['data source and data set', 'SiteWise']);
  });

  test('the command ends with 0, with 3 if something is broken, and with 1 without an environment', async () => {
    const well = await typed('--environment', 'int', '--region', 'eu-west-1');
    expect([well.code, well.out]).toEqual([0, expect.stringMatching(/nothing is broken\n$/)]);
    await aws.iot.send(new DisableTopicRuleCommand({ ruleName: ruleName() }));
    const broken = await typed('--environment', 'int', '--json');
    await aws.iot.send(new EnableTopicRuleCommand({ ruleName: ruleName() }));
    expect(broken.code).toBe(3);
    const said = JSON.parse(broken.out) as Examination;
    expect([said.first?.stage, said.stages.length]).toEqual(['rule', STAGES.length]);
    const nobody = await typed('--environment', 'nobody');
    expect([nobody.code, nobody.err]).toEqual([1, expect.stringMatching(/^error: there is no stack iotlake-nobody/m)]);
  });

  test('a receipt is looked for where the engine keeps it', () => {
    const outputs = new Map([
      ['rawBucketName', 'raw'],
      ['athenaTableName', 't'],
    ]);
    const other = new Environment('int', aws, { ...environment.stack, outputs }, undefined);
    // `printf s3://raw/2026/03/01/05/a | sha256sum`
    expect(receiptKey(other, '2026/03/01/05/a')).toBe(
      '_iotlake/receipts/t/2026/03/01/4ba38942ce96bb1bc58c24df54eb5f45.json',
    );
    expect(receiptKey(other, 'a.json')).toMatch(/^_iotlake\/receipts\/t\/undated\//);
  });
});
