/** The stack as it is synthesized, with no account, no network and no zips. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';

import { IotlakeStack } from '../../lib/iotlake-stack';
import { zipsInBucket } from '../../lib/lambda-code';
import { ERROR_PREFIX, RAW_PREFIX, RULE_ERRORS } from '../../lib/raw-delivery';
import { readSettings } from '../../lib/settings';

const settings = readSettings(() => undefined, {});
const stack = new IotlakeStack(new App(), 'iotlake-int', {
  settings,
  code: zipsInBucket('code', ''),
});
const template = Template.fromStack(stack);
const repository = path.join(__dirname, '..', '..', '..');

test('every output that the quickstart had is there', () => {
  for (const name of [
    'glueDbName',
    'athenaTableName',
    'userPoolId',
    'cognitoAppClientId',
    'tokenEnpoint',
    'iotOnboardingApiUrl',
  ]) {
    template.hasOutput(name, {});
  }
});

test.each([
  ['ingest', 13, 'etl/src/ingest/settings.rs', /name: "([A-Z_]+)"/g, 'Raw objects become rows of the lake'],
  ['onboarding', 12, 'onboarding/src/settings.rs', /variable\(\s*"([A-Z_]+)"/g, 'Devices get their identity'],
])('every variable of %s is one that the function reads', (_, count, file, pattern, Description) => {
  const source = fs.readFileSync(path.join(repository, file), 'utf8');
  const known = new Set([...source.matchAll(pattern)].map(([, name]) => name));
  expect(known.size).toBe(count);
  const [found] = Object.values(template.findResources('AWS::Lambda::Function', { Properties: { Description } }));
  const given = Object.keys(found?.['Properties'].Environment.Variables as object);
  expect(given.length).toBeGreaterThan(5);
  expect(given.filter((name) => !known.has(name))).toEqual([]);
});

test("keys are Firehose's, and what failed is under names that the engine skips", () => {
  const source = fs.readFileSync(path.join(repository, 'etl/src/source.rs'), 'utf8');
  const asEngine = RAW_PREFIX.replace('!{timestamp:yyyy/MM/dd/HH}', '{yyyy}/{MM}/{dd}/{HH}');
  expect(source).toContain(`"${asEngine}"`);
  expect(ERROR_PREFIX.startsWith('!{firehose:error-output-type}/')).toBe(true);
  expect(RULE_ERRORS.startsWith('_')).toBe(true);
  template.hasResourceProperties('AWS::KinesisFirehose::DeliveryStream', {
    ExtendedS3DestinationConfiguration: Match.objectLike({ Prefix: RAW_PREFIX, ErrorOutputPrefix: ERROR_PREFIX }),
  });
  template.hasResourceProperties('AWS::IoT::TopicRule', {
    TopicRulePayload: {
      Sql: "SELECT *, timestamp() as ts FROM 'data/#'",
      AwsIotSqlVersion: '2016-03-23',
      Actions: [{ Firehose: Match.objectLike({ Separator: '\n' }) }],
    },
  });
});

test('the event source is set as docs/aws.md says', () => {
  template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
    BatchSize: 10,
    MaximumBatchingWindowInSeconds: 1,
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    ScalingConfig: { MaximumConcurrency: 10 },
  });
  template.hasResourceProperties('AWS::SQS::Queue', {
    VisibilityTimeout: 720,
    RedrivePolicy: Match.objectLike({ maxReceiveCount: 10 }),
  });
});

test("the API takes the wizard's token, format 1.0, from everywhere", () => {
  template.allResourcesProperties('AWS::ApiGatewayV2::Route', {
    AuthorizationType: 'JWT',
    AuthorizationScopes: ['aws.cognito.signin.user.admin'],
  });
  template.hasResourceProperties('AWS::ApiGatewayV2::Integration', { PayloadFormatVersion: '1.0' });
  template.hasResourceProperties('AWS::ApiGatewayV2::Api', {
    CorsConfiguration: Match.objectLike({ AllowOrigins: ['*'], AllowMethods: ['*'] }),
  });
  // At the token endpoint a client without OAuth is refused; the scopes are those of the quickstart's client.
  template.hasResourceProperties('AWS::Cognito::UserPoolClient', {
    RefreshTokenValidity: 2650 * 24 * 60,
    AllowedOAuthFlowsUserPoolClient: true,
    AllowedOAuthFlows: ['code'],
    AllowedOAuthScopes: ['phone', 'email', 'openid', 'profile', 'aws.cognito.signin.user.admin'],
    CallbackURLs: ['https://localhost/'],
  });
});

test('buckets are private, TLS only, versioned', () => {
  template.allResourcesProperties('AWS::S3::Bucket', { VersioningConfiguration: { Status: 'Enabled' } });
  template.resourcePropertiesCountIs(
    'AWS::S3::BucketPolicy',
    {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        ]),
      },
    },
    4,
  );
});

test("the key of devices is the account's, and turns every year; their table can be set back", () => {
  template.hasResourceProperties('AWS::KMS::Key', {
    EnableKeyRotation: true,
    KeyPolicy: {
      Version: '2012-10-17',
      // Nobody but those to whom the account's own policies give it: the function's role, see PERMISSIONS.md.
      Statement: [
        Match.objectLike({
          Action: 'kms:*',
          Principal: { AWS: { 'Fn::Join': ['', Match.arrayWith([{ Ref: 'AWS::AccountId' }, ':root'])] } },
        }),
      ],
    },
  });
  template.hasResourceProperties('AWS::DynamoDB::GlobalTable', {
    Replicas: [Match.objectLike({ PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true } })],
  });
});

test('each alarm tells the contact, of a metric that somebody writes', () => {
  interface Metric {
    readonly Namespace: string;
    readonly MetricName: string;
    readonly Dimensions: { Name: string }[];
  }
  const alarms = Object.values(template.findResources('AWS::CloudWatch::Alarm')).map(
    (alarm) =>
      alarm['Properties'] as Metric & {
        AlarmActions: unknown[];
        Metrics?: { Expression?: unknown; MetricStat?: { Metric: Metric } }[];
      },
  );
  const of = ({ Namespace, MetricName }: Metric): string => `${Namespace} ${MetricName}`;
  const asked = alarms.flatMap((alarm) => {
    const query = /SUM\((\w+)\) FROM SCHEMA\(\\"(.*?)\\", ActionType, RuleName\)/.exec(
      JSON.stringify(alarm.Metrics) ?? '',
    );
    if (query !== null) return [`${query[2]} ${query[1]}`];
    if (alarm.MetricName !== undefined) return [of(alarm)];
    return (alarm.Metrics ?? []).flatMap(({ MetricStat }) => (MetricStat === undefined ? [] : [of(MetricStat.Metric)]));
  });
  expect(new Set(asked)).toEqual(
    new Set([
      'AWS/ApiGateway 5xx',
      'AWS/IoT ErrorActionFailure',
      'AWS/IoT ErrorActionSuccess',
      'AWS/IoT ParseError',
      'AWS/IoT RuleMessageThrottled',
      'AWS/Lambda Errors',
      'AWS/Lambda Throttles',
      'AWS/SQS ApproximateNumberOfMessagesVisible',
      'iotlake/int Freshness',
      'iotlake/int Rejected',
      'iotlake/int SourceConflicts',
      'iotlake/onboarding Failed',
    ]),
  );
  const [topic] = Object.keys(template.findResources('AWS::SNS::Topic'));
  for (const { AlarmActions } of alarms) expect(AlarmActions).toEqual([{ Ref: topic }]);
  template.hasResourceProperties('AWS::SNS::TopicPolicy', {
    PolicyDocument: Match.objectLike({
      Statement: Match.arrayWith([
        Match.objectLike({
          Effect: 'Allow',
          Action: 'sns:Publish',
          Principal: { Service: 'cloudwatch.amazonaws.com' },
          Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
        }),
      ]),
    }),
  });
});

test('the diagram of README.md has the constructs that are there', () => {
  const diagram = fs.readFileSync(path.join(repository, 'infra/README.md'), 'utf8');
  const drawn = [...diagram.matchAll(/subgraph \w+ \[(\w+)\]/g)].map(([, name = '']) => name);
  expect(drawn).toEqual(['RawDelivery', 'Ingest', 'DataLake', 'Backfill', 'Onboarding']);
  for (const name of drawn) expect([name, stack.node.tryFindChild(name)?.node.id]).toEqual([name, name]);
});

test('wrong settings are told all at once', () => {
  for (const environment of ['myaws', 'amazon1', 'cognito']) {
    const told = (name: string): string | undefined => (name === 'environment' ? environment : undefined);
    expect(() => readSettings(told, {})).toThrow(/without aws, amazon, cognito/);
  }
  expect(() => readSettings((name) => (name === 'monthlyDollars' ? '5' : undefined), {})).toThrow(/no contactEmail/);
  const wrong: Record<string, string> = {
    environment: 'A-1',
    rootMqttTopic: 'data',
    bufferSeconds: 'soon',
    logDays: '31',
  };
  expect(() => readSettings((name) => wrong[name], {})).toThrow(
    /environment.*rootMqttTopic.*bufferSeconds.*logDays is `31`: one of 1, 3, 5, 7, 14, 30, /s,
  );
});
