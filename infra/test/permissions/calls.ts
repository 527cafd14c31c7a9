/**
 * Which calls each role makes, on what, and how that is known.
 *
 * `recorded`: seen at the stand-in while the release's template was deployed and used; `make deployed` records anew, and
 * fails on a call that is not here. `source`: made by the code on a way that no such run takes; a test scans the sources
 * for calls that are not here. `documented`: made by AWS's own service with our role, as the page says.
 */

export interface Calls {
  readonly how: 'recorded' | 'source' | 'documented';
  /** What makes them, or the page. */
  readonly by: string;
  readonly actions: readonly string[];
  /** Resources; a logical id in angle brackets is its ARN. */
  readonly on: readonly string[];
  readonly context?: Readonly<Record<string, string>>;
}

const named = (service: string, names: string): string[] => names.split(' ').map((name) => `${service}:${name}`);

const iot = (rest: string): string => `arn:aws:iot:eu-west-1:111122223333:${rest}`;
const glue = (rest: string): string => `arn:aws:glue:eu-west-1:111122223333:${rest}`;
const states = (rest: string): string => `arn:aws:states:eu-west-1:111122223333:${rest}`;
const athena = (rest: string): string => `arn:aws:athena:eu-west-1:111122223333:${rest}`;

const RAW = '<RawDeliveryRaw>/2026/03/01/08/iotlake-1-2026-03-01-08-00-00-0a1b.gz';
const CATALOG = [glue('catalog'), glue('database/iotlake_int')];
const LOGS = (group: string): Calls => ({
  how: 'documented',
  by: 'Lambda writes the log: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html',
  actions: named('logs', 'CreateLogStream PutLogEvents'),
  // The stream is behind the group, whose ARN ends in an asterisk.
  on: [group],
});

/** By the logical id of the role, without CDK's digest. */
export const CALLS: Readonly<Record<string, readonly Calls[]>> = {
  IngestRole: [
    { how: 'recorded', by: 'ingest: sources', actions: ['s3:GetObject'], on: [RAW] },
    {
      how: 'recorded',
      by: 'ingest: files, receipts',
      actions: ['s3:GetObject', 's3:PutObject'],
      on: [
        '<DataLake>/events/year=2026/month=03/day=01/hour=08/0a1b-00000.parquet',
        '<DataLake>/_iotlake/receipts/events/0a1b.json',
      ],
    },
    {
      how: 'recorded',
      by: 'ingest: its record of an attempt that has ended',
      actions: ['s3:DeleteObject'],
      on: ['<DataLake>/_iotlake/attempts/events/0a1b-r0.json'],
    },
    { how: 'recorded', by: 'ingest: what is there already', actions: ['s3:ListBucket'], on: ['<DataLake>'] },
    {
      how: 'source',
      by: 'S3 answers a HEAD of what is not there with 404 only to who may list: etl/src/storage/s3.rs',
      actions: ['s3:ListBucket'],
      on: ['<RawDeliveryRaw>'],
    },
    {
      how: 'source',
      by: 'etl/src/storage/s3/upload.rs: files of more than one part',
      actions: ['s3:PutObject', 's3:AbortMultipartUpload'],
      on: ['<DataLake>/events/year=2026/month=03/day=01/hour=08/0a1b-00000.parquet'],
    },
    {
      how: 'recorded',
      by: 'ingest: init, partitions',
      actions: named('glue', 'GetTable CreateTable BatchCreatePartition'),
      on: [...CATALOG, glue('table/iotlake_int/events')],
    },
    {
      how: 'recorded',
      by: 'ingest: new columns',
      actions: named('glue', 'UpdateTable'),
      on: [...CATALOG, glue('table/iotlake_int/events')],
    },
    {
      how: 'documented',
      by: 'Lambda polls: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html',
      actions: named('sqs', 'ReceiveMessage DeleteMessage GetQueueAttributes'),
      on: ['<IngestQueue>'],
    },
    LOGS('<IngestLog>'),
  ],
  InitRole: [
    { how: 'recorded', by: 'init', actions: ['lambda:InvokeFunction'], on: ['<IngestFunction>'] },
    LOGS('<InitLog>'),
  ],
  AccessHandoverRole: [
    {
      how: 'recorded',
      by: 'handover',
      actions: named('cognito-idp', 'AdminCreateUser AdminSetUserPassword AdminInitiateAuth'),
      on: ['<OnboardingUsers>'],
    },
    {
      how: 'recorded',
      by: 'handover',
      actions: named('secretsmanager', 'GetSecretValue PutSecretValue'),
      on: ['<AccessHandoverSecret>'],
    },
    { how: 'recorded', by: 'handover', actions: ['sns:Publish'], on: ['<Contact>'] },
    LOGS('<AccessHandoverLog>'),
  ],
  OnboardingRole: [
    {
      how: 'recorded',
      by: 'onboarding',
      actions: named('dynamodb', 'GetItem PutItem DeleteItem'),
      on: ['<OnboardingDevices>'],
    },
    {
      how: 'source',
      by: 'reconcile, import: onboarding/src/registry/dynamodb.rs',
      actions: ['dynamodb:Query'],
      on: ['<OnboardingDevices>'],
    },
    {
      how: 'recorded',
      by: 'onboarding: private keys',
      actions: named('kms', 'GenerateDataKey Decrypt'),
      on: ['<OnboardingKey>'],
      context: {
        'kms:EncryptionContext:purpose': 'iotlake device key',
        'kms:EncryptionContext:environment': 'int',
        'kms:EncryptionContext:serialNumber': 'DEV_00000001',
      },
    },
    {
      how: 'recorded',
      by: 'onboarding: things',
      actions: named('iot', 'CreateThing DeleteThing'),
      on: [iot('thing/DEV_00000001')],
    },
    {
      how: 'source',
      by: 'conflicts, reconcile, import: onboarding/src/iot/aws.rs',
      actions: named('iot', 'UpdateThing DescribeThing ListThingPrincipals'),
      on: [iot('thing/DEV_00000001')],
    },
    {
      how: 'recorded',
      by: 'onboarding: certificates',
      actions: named('iot', 'UpdateCertificate DeleteCertificate'),
      on: [iot('cert/0a1b2c')],
    },
    { how: 'recorded', by: 'onboarding', actions: ['iot:CreateKeysAndCertificate', 'iot:DescribeEndpoint'], on: ['*'] },
    {
      how: 'recorded',
      by: 'onboarding',
      actions: named('iot', 'AttachThingPrincipal DetachThingPrincipal'),
      on: ['*'],
    },
    {
      how: 'source',
      by: 'signing requests, reconcile, import: onboarding/src/iot/aws.rs',
      actions: named(
        'iot',
        'CreateCertificateFromCsr ListPrincipalThings ListAttachedPolicies ListThings ListCertificates',
      ),
      on: ['*'],
    },
    {
      how: 'recorded',
      by: 'onboarding: the shared policy',
      actions: named('iot', 'AttachPolicy DetachPolicy'),
      on: [iot('cert/0a1b2c')],
    },
    {
      how: 'recorded',
      by: 'onboarding: the shared policy',
      actions: ['iot:GetPolicy'],
      on: [iot('policy/iotlake-device-int')],
    },
    {
      how: 'source',
      by: 'reconcile: onboarding/src/iot/aws.rs',
      actions: ['iot:DescribeCertificate'],
      on: [iot('cert/0a1b2c')],
    },
    {
      how: 'documented',
      by: 'Lambda sends traces: https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html',
      actions: named('xray', 'PutTraceSegments PutTelemetryRecords'),
      on: ['*'],
    },
    LOGS('<OnboardingLog>'),
  ],
  RawDeliveryRuleRole: [
    {
      how: 'documented',
      by: 'IoT Core, the action: https://docs.aws.amazon.com/iot/latest/developerguide/kinesis-firehose-rule-action.html',
      actions: ['firehose:PutRecord'],
      on: ['<RawDeliveryStream>'],
    },
    {
      how: 'documented',
      by: 'IoT Core, the error action: https://docs.aws.amazon.com/iot/latest/developerguide/s3-rule-action.html',
      actions: ['s3:PutObject'],
      on: ['<RawDeliveryRaw>/_rule-errors/2026/03/01/08/0a1b.json'],
    },
    {
      how: 'documented',
      by: 'IoT Core, republish: https://docs.aws.amazon.com/iot/latest/developerguide/republish-rule-action.html',
      actions: ['iot:Publish'],
      on: [iot('topic/alldata_test')],
    },
  ],
  RawDeliveryFirehoseRole: [
    {
      how: 'documented',
      by: 'Firehose: https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html',
      actions: named('s3', 'AbortMultipartUpload GetObject PutObject'),
      on: [RAW],
    },
    {
      how: 'documented',
      by: 'Firehose: https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html',
      actions: named('s3', 'GetBucketLocation ListBucket ListBucketMultipartUploads'),
      on: ['<RawDeliveryRaw>'],
    },
    {
      how: 'documented',
      by: 'Firehose: https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html',
      actions: ['logs:PutLogEvents'],
      on: ['<RawDeliveryFirehoseLog>'],
    },
  ],
  BackfillRole: [
    {
      how: 'documented',
      by: 'Step Functions, the task: https://docs.aws.amazon.com/step-functions/latest/dg/lambda-iam.html',
      actions: ['lambda:InvokeFunction'],
      on: ['<IngestFunction>'],
    },
    {
      how: 'documented',
      by: 'Step Functions, ItemReader: https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html',
      actions: ['s3:ListBucket'],
      on: ['<RawDeliveryRaw>'],
    },
    {
      how: 'documented',
      by: 'Step Functions, ResultWriter: https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html',
      actions: named('s3', 'PutObject GetObject ListMultipartUploadParts AbortMultipartUpload'),
      on: ['<DataLakeResults>/backfill/0a1b/manifest.json'],
    },
    {
      how: 'documented',
      by: 'Step Functions, children: https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html',
      actions: ['states:StartExecution'],
      on: [states('stateMachine:iotlake-backfill-int')],
    },
    {
      how: 'documented',
      by: 'Step Functions, children: https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html',
      actions: ['states:DescribeExecution', 'states:StopExecution'],
      on: [states('execution:iotlake-backfill-int:0a1b')],
    },
    {
      how: 'documented',
      by: 'Step Functions, redrive: https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html',
      actions: ['states:RedriveExecution'],
      on: [states('execution:iotlake-backfill-int/Ingest:0a1b')],
    },
    {
      how: 'source',
      by: 'the state Count: lib/backfill.ts',
      actions: ['states:DescribeMapRun'],
      on: [states('mapRun:iotlake-backfill-int/Ingest:0a1b2c3d-0000-4000-8000-000000000000')],
    },
    {
      how: 'documented',
      by: 'Step Functions, its log: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html',
      actions: named(
        'logs',
        'CreateLogDelivery GetLogDelivery UpdateLogDelivery DeleteLogDelivery ListLogDeliveries PutResourcePolicy DescribeResourcePolicies DescribeLogGroups',
      ),
      on: ['*'],
    },
    {
      how: 'documented',
      by: 'Step Functions, traces: https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html',
      actions: named('xray', 'PutTraceSegments PutTelemetryRecords GetSamplingRules GetSamplingTargets'),
      on: ['*'],
    },
  ],
  IotLoggingRole: [
    {
      how: 'documented',
      by: 'IoT Core: https://docs.aws.amazon.com/iot/latest/developerguide/configure-logging.html',
      actions: named('logs', 'CreateLogGroup CreateLogStream PutLogEvents PutMetricFilter PutRetentionPolicy'),
      on: ['arn:aws:logs:eu-west-1:111122223333:log-group:AWSIotLogsV2:log-stream:x'],
    },
  ],
  SiteWiseRole: [
    {
      how: 'documented',
      by: 'IoT Core, the action: https://docs.aws.amazon.com/iot/latest/developerguide/iotsitewise-rule-action.html',
      actions: ['iotsitewise:BatchPutAssetPropertyValue'],
      on: ['arn:aws:iotsitewise:eu-west-1:111122223333:asset/0a1b2c3d-0000-4000-8000-000000000000'],
    },
    {
      how: 'documented',
      by: 'IoT Core, the error action: https://docs.aws.amazon.com/iot/latest/developerguide/cloudwatch-logs-rule-action.html',
      actions: named('logs', 'CreateLogStream DescribeLogStreams PutLogEvents'),
      on: ['<SiteWiseRefused>'],
    },
  ],
  DashboardsRole: [
    {
      how: 'documented',
      by: 'QuickSight: https://docs.aws.amazon.com/athena/latest/ug/awsquicksightathenaaccess-managed-policy.html',
      actions: named(
        'athena',
        'BatchGetQueryExecution GetQueryExecution GetQueryResults GetQueryResultsStream GetWorkGroup ListQueryExecutions StartQueryExecution StopQueryExecution',
      ),
      on: [athena('workgroup/iotlake-int')],
    },
    {
      how: 'documented',
      by: 'QuickSight: https://docs.aws.amazon.com/athena/latest/ug/awsquicksightathenaaccess-managed-policy.html',
      actions: named('athena', 'GetDataCatalog GetDatabase GetTableMetadata ListDatabases ListTableMetadata'),
      on: [athena('datacatalog/AwsDataCatalog')],
    },
    {
      how: 'documented',
      by: 'Athena with the role: https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html',
      actions: named('glue', 'GetDatabase GetDatabases'),
      on: CATALOG,
    },
    {
      how: 'documented',
      by: 'Athena with the role: https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html',
      actions: named('glue', 'GetTable GetTables GetPartition GetPartitions BatchGetPartition'),
      on: [...CATALOG, glue('table/iotlake_int/events')],
    },
    {
      how: 'documented',
      by: 'Athena reads the lake: https://docs.aws.amazon.com/athena/latest/ug/s3-permissions.html',
      actions: ['s3:GetObject'],
      on: ['arn:aws:s3:::datalakec5e9bbfd/events/year=2026/month=03/day=01/hour=08/0a1b-00000.parquet'],
    },
    {
      how: 'documented',
      by: 'Athena lists both: https://docs.aws.amazon.com/athena/latest/ug/s3-permissions.html',
      actions: ['s3:GetBucketLocation', 's3:ListBucket'],
      on: ['arn:aws:s3:::datalakec5e9bbfd', 'arn:aws:s3:::datalakeresultsa8f1c9d1'],
    },
    {
      how: 'documented',
      by: 'Athena writes results: https://docs.aws.amazon.com/athena/latest/ug/s3-permissions.html',
      actions: named('s3', 'GetObject PutObject AbortMultipartUpload ListMultipartUploadParts'),
      on: ['arn:aws:s3:::datalakeresultsa8f1c9d1/0a1b.csv'],
    },
  ],
  EndToEndRole: [
    {
      how: 'source',
      by: 'npm run end-to-end: scripts/end-to-end.ts',
      actions: named('cloudformation', 'DescribeStacks ListStackResources'),
      on: ['arn:aws:cloudformation:eu-west-1:111122223333:stack/iotlake-int/0a1b2c3d-0000-4000-8000-000000000000'],
    },
    {
      how: 'source',
      by: 'npm run end-to-end: scripts/deployed.ts',
      actions: ['secretsmanager:GetSecretValue'],
      on: ['arn:aws:secretsmanager:eu-west-1:111122223333:secret:AccessHandoverSecret-AbCdEf'],
      context: { 'secretsmanager:ResourceTag/iotlake:environment': 'int' },
    },
  ],
  DeployRole: [
    {
      how: 'source',
      by: "CDK's command line takes on the roles of its bootstrap",
      actions: ['sts:AssumeRole'],
      on: ['arn:aws:iam::111122223333:role/cdk-hnb659fds-deploy-role-111122223333-eu-west-1'],
    },
    {
      how: 'source',
      by: 'options of the last deployment: lib/remembered.ts',
      actions: ['cloudformation:GetTemplate'],
      on: ['arn:aws:cloudformation:eu-west-1:111122223333:stack/iotlake-int/0a1b2c3d-0000-4000-8000-000000000000'],
    },
  ],
};

/** Calls that the code can make and the deployed functions do not, or only when somebody allows it for a time. */
export const NOT_DEPLOYED: Readonly<Record<string, string>> = {
  'glue:CreateDatabase': 'the template makes the database (IOTLAKE_CREATE_DATABASE=false)',
  'glue:GetTables': 'audit, and rebuilding, run elsewhere',
  'glue:GetPartitions': 'audit runs elsewhere',
  'glue:DeleteTable': 'a person takes tables out with `iotlake drop`, never the function',
  'glue:GetPartition': 'a person makes generations with `iotlake compact`, never the function',
  'glue:UpdatePartition': 'a person makes generations with `iotlake compact`, never the function',
  'dynamodb:UpdateItem': 'import, on the table of the quickstart: docs/migration.md, step 2, grants it for a time',
  'iot:DeletePolicy': 'import: docs/migration.md, step 2, grants it for a time',
  'iot:CreatePolicy': 'the template makes the policy',
  'iot:CreatePolicyVersion': 'the template changes the policy',
  'iot:ListPolicyVersions': 'the template changes the policy',
  'iot:DeletePolicyVersion': 'the template changes the policy',
};

/** Permissions that no call is known to need, and why they are there all the same. */
export const KEPT: Readonly<Record<string, string>> = {
  'IngestRole glue:GetDatabase':
    'init asks for it where it makes the database; kept for who sets IOTLAKE_CREATE_DATABASE',
};
