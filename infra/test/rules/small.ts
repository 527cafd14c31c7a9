/**
 * For each rule small templates that break it, and the same ones mended: a rule that were never to find anything would
 * pass every other test.
 */

type Properties = Record<string, unknown>;
type Template = { Resources: Record<string, object>; Outputs?: object; Parameters?: object };

const resource = (Type: string, Properties: Properties = {}, more: object = {}): object => ({
  Type,
  Properties,
  ...more,
});
const only = (Type: string, Properties: Properties, more: object = {}): Template => ({
  Resources: { It: resource(Type, Properties, more) },
});
const ref = (Ref: string): object => ({ Ref });
const arn = (id: string): object => ({ 'Fn::GetAtt': [id, 'Arn'] });
const allow = (service: string, action: string, Condition?: object): object => ({
  Statement: [{ Effect: 'Allow', Principal: { Service: service }, Action: action, Resource: '*', Condition }],
});

const client = (properties: Properties): Template => ({
  Resources: {
    Pool: resource('AWS::Cognito::UserPool'),
    Domain: resource('AWS::Cognito::UserPoolDomain', { UserPoolId: ref('Pool'), Domain: 'mine' }),
    Client: resource('AWS::Cognito::UserPoolClient', { UserPoolId: ref('Pool'), ...properties }),
  },
});
const alarm = (properties: Properties): Template =>
  only('AWS::CloudWatch::Alarm', { EvaluationPeriods: 1, ...properties });
const rules = (name: string, ...dimensions: string[]): Template =>
  alarm({ Namespace: 'AWS/IoT', MetricName: name, Dimensions: dimensions.map((Name) => ({ Name, Value: 'x' })) });
const topic = (policy: object): Template => ({
  Resources: {
    Topic: resource('AWS::SNS::Topic'),
    Policy: resource('AWS::SNS::TopicPolicy', { Topics: [ref('Topic')], PolicyDocument: policy }),
    Alarm: resource('AWS::CloudWatch::Alarm', { AlarmActions: [ref('Topic')] }),
  },
});
const source = (queue: Properties, timeout: number, mapping: Properties = {}): Template => ({
  Resources: {
    Queue: resource('AWS::SQS::Queue', queue),
    Function: resource('AWS::Lambda::Function', { Timeout: timeout }),
    Mapping: resource('AWS::Lambda::EventSourceMapping', {
      EventSourceArn: arn('Queue'),
      FunctionName: ref('Function'),
      ...mapping,
    }),
  },
});
const custom = (properties: Properties): Template => ({
  Resources: {
    Provider: resource('AWS::Lambda::Function', { Timeout: 180, Code: { S3Key: 'provider.zip' } }),
    Runs: resource('AWS::Lambda::Function', { Code: { S3Key: 'v2/runs.zip' } }),
    Call: resource('Custom::Call', { ServiceToken: arn('Provider'), FunctionName: ref('Runs'), ...properties }),
  },
});
const inline = (properties: Properties): Template => ({
  Resources: {
    Provider: resource('AWS::Lambda::Function', { Code: { ZipFile: 'exports.handler = 1' } }),
    Call: resource('Custom::Call', { ServiceToken: arn('Provider'), ...properties }),
  },
});
const dataSet = (mode: string, expression: string): Template =>
  only('AWS::QuickSight::DataSet', {
    ImportMode: mode,
    LogicalTableMap: { a: { Columns: [{ Expression: expression }] } },
  });
const column = (Name: string, Type: string): Template =>
  only('AWS::QuickSight::DataSet', { PhysicalTableMap: { a: { CustomSql: { Columns: [{ Name, Type }] } } } });
const machine = (states: object): Template =>
  only('AWS::StepFunctions::StateMachine', { DefinitionString: JSON.stringify({ StartAt: 'M', States: states }) });
const firehose = (condition: object): Template => ({
  Resources: {
    Role: resource('AWS::IAM::Role', {
      AssumeRolePolicyDocument: allow('firehose.amazonaws.com', 'sts:AssumeRole', { StringEquals: condition }),
    }),
    Stream: resource('AWS::KinesisFirehose::DeliveryStream', {
      ExtendedS3DestinationConfiguration: { RoleARN: arn('Role') },
    }),
  },
});
const prefixes = (Prefix: string, ErrorOutputPrefix: string): Template =>
  only('AWS::KinesisFirehose::DeliveryStream', { ExtendedS3DestinationConfiguration: { Prefix, ErrorOutputPrefix } });
const projected = (parameters: Record<string, string>): Template =>
  only('AWS::Glue::Table', {
    TableInput: {
      PartitionKeys: [{ Name: 'day' }],
      Parameters: { 'projection.enabled': 'true', ...parameters },
    },
  });
const dates = (range: string, unit: string): Template =>
  projected({
    'projection.day.type': 'date',
    'projection.day.range': range,
    'projection.day.interval': '1',
    'projection.day.interval.unit': unit,
  });
const exporting = (...names: string[]): Template => ({
  Resources: {},
  Outputs: Object.fromEntries(names.map((Name) => [Name, { Value: 'x', Export: { Name } }])),
});
const notified = (policy: object, queue: Properties = {}): Template => ({
  Resources: {
    Queue: resource('AWS::SQS::Queue', queue),
    Policy: resource('AWS::SQS::QueuePolicy', { Queues: [ref('Queue')], PolicyDocument: policy }),
    Bucket: resource('AWS::S3::Bucket', {
      NotificationConfiguration: { QueueConfigurations: [{ Event: 's3:ObjectCreated:*', Queue: arn('Queue') }] },
    }),
  },
});
const integration = (timeout: number): Template => ({
  Resources: {
    Function: resource('AWS::Lambda::Function', { Timeout: timeout }),
    Integration: resource('AWS::ApiGatewayV2::Integration', { IntegrationUri: arn('Function') }),
  },
});
const logging = (LogGroupName: string): Template => ({
  Resources: {
    Group: resource('AWS::Logs::LogGroup', { LogGroupName }),
    Machine: resource('AWS::StepFunctions::StateMachine', {
      DefinitionString: '{"States":{}}',
      LoggingConfiguration: { Destinations: [{ CloudWatchLogsLogGroup: { LogGroupArn: arn('Group') } }] },
    }),
  },
});
const kept = (policy: string): Template => ({
  Resources: {
    Bucket: resource('AWS::S3::Bucket', {}, { DeletionPolicy: 'Retain' }),
    Database: resource('AWS::Glue::Database', {}, { DeletionPolicy: policy }),
  },
});
const device = (topic: string): Template =>
  only('AWS::IoT::Policy', { PolicyDocument: { Statement: [{ Effect: 'Allow', Resource: topic }] } });
const image = (Image: string): Template => only('AWS::CodeBuild::Project', { Environment: { Image } });
const domain = (pattern: string): Template => ({
  Parameters: { name: { AllowedPattern: pattern } },
  Resources: {
    Domain: resource('AWS::Cognito::UserPoolDomain', { Domain: { 'Fn::Join': ['-', ['iotlake', ref('name')]] } }),
  },
});

const oAuth = { AllowedOAuthFlowsUserPoolClient: true, AllowedOAuthFlows: ['code'] };
const SCRIPT = '30545e08d4c6ffa1';
const COUNTED = {
  M: { Type: 'Map', ToleratedFailurePercentage: 100, Next: 'C' },
  C: { Type: 'Task', Resource: 'arn:aws:states:::aws-sdk:sfn:describeMapRun', Next: 'D' },
  D: { Type: 'Choice', Choices: [{ Next: 'S' }], Default: 'F' },
  S: { Type: 'Succeed' },
  F: { Type: 'Fail' },
};

/** By the name of the rule: templates that break it, and such as do not. */
export const BROKEN: Readonly<Record<string, { wrong: Template[]; right: Template[] }>> = {
  'alarm-metrics': {
    wrong: [rules('ErrorActionSuccess', 'RuleName')],
    right: [
      rules('ErrorActionSuccess', 'RuleName', 'ActionType'),
      rules('ParseError', 'RuleName'),
      alarm({
        Metrics: [
          { Expression: `SELECT SUM(Failure) FROM SCHEMA("AWS/IoT", ActionType, RuleName) WHERE RuleName = 'x'` },
        ],
      }),
    ],
  },
  'alarm-periods': {
    wrong: [alarm({ Period: 43_200, EvaluationPeriods: 3 })],
    right: [alarm({ Period: 300, EvaluationPeriods: 3 })],
  },
  'alarms-may-publish': {
    wrong: [topic({ Statement: [{ Effect: 'Deny', Principal: '*', Action: 'sns:Publish' }] })],
    right: [topic(allow('cloudwatch.amazonaws.com', 'sns:Publish', { StringEquals: { 'aws:SourceAccount': '1' } }))],
  },
  'api-timeout': { wrong: [integration(30)], right: [integration(29)] },
  'batch-window': {
    wrong: [source({}, 3, { BatchSize: 100 })],
    right: [source({}, 3, { BatchSize: 100, MaximumBatchingWindowInSeconds: 1 }), source({}, 3, { BatchSize: 10 })],
  },
  'billing-region': {
    wrong: [alarm({ Namespace: 'AWS/Billing', MetricName: 'EstimatedCharges' })],
    right: [rules('ParseError', 'RuleName')],
  },
  'budget-names': {
    wrong: [only('AWS::Budgets::Budget', { Budget: { BudgetName: 'mine' } })],
    right: [only('AWS::Budgets::Budget', { Budget: { BudgetType: 'COST' } })],
  },
  callback: {
    wrong: [client({ ...oAuth }), client({ ...oAuth, CallbackURLs: ['http://example.com/'] })],
    right: [client({ ...oAuth, CallbackURLs: ['https://localhost/'] })],
  },
  'custom-resource-timeout': {
    wrong: [custom({}), custom({ ServiceTimeout: '60' })],
    right: [custom({ ServiceTimeout: '360' })],
  },
  'custom-resources-change': {
    wrong: [custom({}), inline({})],
    right: [custom({ Code: 'v2/runs.zip' }), inline({ Script: SCRIPT })],
  },
  'data-set-columns': { wrong: [column('a', 'TIMESTAMP')], right: [column('a', 'DATETIME')] },
  'direct-query-functions': {
    wrong: [dataSet('DIRECT_QUERY', 'epochDate({ts})')],
    right: [dataSet('SPICE', 'epochDate({ts})'), dataSet('DIRECT_QUERY', "split({a}, ':', 3)")],
  },
  'domain-words': {
    wrong: [domain('[a-z]+'), only('AWS::Cognito::UserPoolDomain', { Domain: 'my-aws' })],
    right: [domain('(?!.*(aws|amazon|cognito))[a-z]+')],
  },
  'exports-stay': { wrong: [exporting('a', 'b'), exporting('a')], right: [exporting('a'), exporting('a')] },
  'firehose-prefixes': {
    wrong: [prefixes('!{timestamp:yyyy}/', '!{timestamp:yyyy}/')],
    right: [prefixes('!{timestamp:yyyy}/', '!{firehose:error-output-type}/')],
  },
  'firehose-trust': { wrong: [firehose({ 'aws:SourceAccount': '1' })], right: [firehose({ 'sts:ExternalId': '1' })] },
  images: {
    wrong: [image('rust:1.95-trixie'), image('library/rust:1')],
    right: [image('public.ecr.aws/docker/library/rust:1.95-trixie'), image('aws/codebuild/standard:7.0')],
  },
  'iot-policy-size': { wrong: [device('x'.repeat(2_048))], right: [device('arn:aws:iot:x:1:topic/data/*')] },
  'iot-rule-names': {
    wrong: [only('AWS::IoT::TopicRule', { RuleName: 'iotlake-int' })],
    right: [only('AWS::IoT::TopicRule', { RuleName: 'iotlake_int' })],
  },
  'kept-data-is-readable': { wrong: [kept('Delete')], right: [kept('Retain')] },
  'map-failures-count': {
    wrong: [
      machine({ M: { Type: 'Map', ToleratedFailurePercentage: 5, End: true } }),
      machine({ ...COUNTED, D: { Type: 'Succeed' } }),
    ],
    right: [machine(COUNTED), machine({ M: { Type: 'Map', End: true } })],
  },
  'notified-queues': {
    wrong: [
      notified(allow('sns.amazonaws.com', 'sqs:SendMessage')),
      notified(allow('s3.amazonaws.com', 'sqs:SendMessage'), { KmsMasterKeyId: 'alias/aws/sqs' }),
    ],
    right: [notified(allow('s3.amazonaws.com', 'sqs:SendMessage'))],
  },
  projection: {
    wrong: [
      dates('NOW-3YEARS,NOW', 'HOURS'),
      dates('2020/01/01,2099/12/31', 'DAYS'),
      projected({ 'projection.day.type': 'integer', 'projection.day.range': '1,10000' }),
    ],
    right: [
      dates('NOW-3YEARS,NOW', 'DAYS'),
      projected({ 'projection.day.type': 'integer', 'projection.day.range': '1,31' }),
    ],
  },
  receives: {
    wrong: [source({}, 3), source({ RedrivePolicy: { maxReceiveCount: 3 } }, 3)],
    right: [source({ RedrivePolicy: { maxReceiveCount: 10 } }, 3)],
  },
  'refresh-flow': {
    wrong: [client({ RefreshTokenValidity: 60, ExplicitAuthFlows: ['ALLOW_ADMIN_USER_PASSWORD_AUTH'] })],
    right: [client({ RefreshTokenValidity: 60, ExplicitAuthFlows: ['ALLOW_REFRESH_TOKEN_AUTH'] })],
  },
  'remembered-devices': {
    wrong: [only('AWS::Cognito::UserPool', { DeviceConfiguration: { ChallengeRequiredOnNewDevice: true } })],
    right: [only('AWS::Cognito::UserPool', {})],
  },
  'token-endpoint': {
    wrong: [client({}), client({ AllowedOAuthFlowsUserPoolClient: false, AllowedOAuthFlows: ['code'] })],
    right: [client({ ...oAuth })],
  },
  'vended-logs': { wrong: [logging('/mine')], right: [logging('/aws/vendedlogs/states/mine')] },
  visibility: { wrong: [source({ VisibilityTimeout: 100 }, 120)], right: [source({ VisibilityTimeout: 720 }, 120)] },
};
