/**
 * Objects become rows: the queue of notifications, its dead-letter queue, the function `ingest`, and its `init`.
 *
 * The settings of the event source are those of docs/aws.md; no concurrency is reserved, since a new account has ten.
 */
import {
  aws_iam as iam,
  aws_lambda as lambda,
  aws_logs as logs,
  aws_s3 as s3,
  aws_sqs as sqs,
  Duration,
  RemovalPolicy,
  Stack,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';

import type { DataLake } from './data-lake';
import type { CodeSource } from './lambda-code';
import type { Settings } from './settings';
import { acknowledgeWildcard } from './wildcards';

/** How long one invocation may take; the queue waits six times as long. */
const TIMEOUT = Duration.seconds(120);

export interface IngestProps {
  readonly settings: Settings;
  readonly code: CodeSource;
  readonly raw: s3.Bucket;
  readonly lake: DataLake;
}

export class Ingest extends Construct {
  readonly queue: sqs.Queue;
  readonly deadLetters: sqs.Queue;
  readonly function: lambda.Function;
  /** What names the function's code, and is another with each release: the key of its zip. */
  readonly codeKey: string;

  constructor(scope: Construct, id: string, props: IngestProps) {
    super(scope, id);
    const { settings, raw, lake } = props;
    this.deadLetters = new sqs.Queue(this, 'DeadLetters', {
      enforceSSL: true,
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      retentionPeriod: Duration.days(14),
    });
    this.queue = new sqs.Queue(this, 'Queue', {
      enforceSSL: true,
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      visibilityTimeout: Duration.seconds(6 * TIMEOUT.toSeconds()),
      retentionPeriod: Duration.days(14),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: 10 },
    });
    this.notify(raw);

    const log = new logs.LogGroup(this, 'Log', {
      retention: settings.logDays as logs.RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new iam.Role(this, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
    for (const statement of this.statements(props, log)) role.addToPolicy(statement);
    acknowledgeWildcard(role, props.raw.arnForObjects('*'), 'It reads whatever arrives');
    acknowledgeWildcard(role, props.lake.bucket.arnForObjects('*'), 'Files are named by their source, hour and part');
    const attempts = props.lake.bucket.arnForObjects('_iotlake/attempts/*');
    acknowledgeWildcard(role, attempts, 'Records of attempts are named by their source');
    const tables = this.glueArn('table', `${props.lake.databaseName}/*`);
    acknowledgeWildcard(role, tables, 'The engine makes its tables: one of events, one of rejects, and the view');
    this.function = new lambda.Function(this, 'Function', {
      description: 'Raw objects become rows of the lake',
      runtime: lambda.Runtime.PROVIDED_AL2023,
      architecture: lambda.Architecture.ARM_64,
      handler: 'bootstrap',
      code: props.code(this, 'ingest'),
      role: role.withoutPolicyUpdates(),
      memorySize: 512,
      timeout: TIMEOUT,
      logGroup: log,
      environment: {
        IOTLAKE_LAKE: `s3://${lake.bucket.bucketName}`,
        IOTLAKE_CATALOG: `glue:${lake.databaseName}`,
        IOTLAKE_TABLE: settings.table,
        IOTLAKE_CONTRACT: settings.contract,
        IOTLAKE_CREATE_DATABASE: 'false',
        IOTLAKE_METRICS_NAMESPACE: `iotlake/${settings.environment}`,
      },
    });
    this.function.node.addDependency(role.node.findChild('DefaultPolicy'));
    const zip = (this.function.node.defaultChild as lambda.CfnFunction).code as lambda.CfnFunction.CodeProperty;
    this.codeKey = zip.s3Key ?? '';
    new lambda.CfnEventSourceMapping(this, 'Messages', {
      functionName: this.function.functionName,
      eventSourceArn: this.queue.queueArn,
      batchSize: 10,
      maximumBatchingWindowInSeconds: 1,
      functionResponseTypes: ['ReportBatchItemFailures'],
      scalingConfig: { maximumConcurrency: 10 },
    });
  }

  /** CloudFormation's own notification: no helper function. The bucket is not named, or each would wait for the other. */
  private notify(raw: s3.Bucket): void {
    this.queue.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('s3.amazonaws.com')],
        actions: ['sqs:SendMessage'],
        resources: [this.queue.queueArn],
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    );
    const bucket = raw.node.defaultChild as s3.CfnBucket;
    bucket.notificationConfiguration = {
      queueConfigurations: [{ event: 's3:ObjectCreated:*', queue: this.queue.queueArn }],
    };
    const policy = this.queue.node.findChild('Policy').node.defaultChild as sqs.CfnQueuePolicy;
    bucket.addResourceDependency(policy);
  }

  /** What docs/aws.md lists, and nothing wider. */
  private statements({ raw, lake }: IngestProps, log: logs.LogGroup): iam.PolicyStatement[] {
    const catalog = [this.glueArn('catalog'), this.glueArn('database', lake.databaseName)];
    const allow = (actions: string[], resources: string[]): iam.PolicyStatement =>
      new iam.PolicyStatement({ actions, resources });
    return [
      allow(['s3:GetObject'], [raw.arnForObjects('*')]),
      allow(['s3:ListBucket'], [raw.bucketArn, lake.bucket.bucketArn]),
      allow(['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload'], [lake.bucket.arnForObjects('*')]),
      // Its own records of what it is writing, and nothing that it wrote.
      allow(['s3:DeleteObject'], [lake.bucket.arnForObjects('_iotlake/attempts/*')]),
      allow(
        ['glue:GetTable', 'glue:CreateTable', 'glue:UpdateTable', 'glue:BatchCreatePartition'],
        [...catalog, this.glueArn('table', `${lake.databaseName}/*`)],
      ),
      allow(['glue:GetDatabase'], catalog),
      allow(['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'], [this.queue.queueArn]),
      allow(['logs:CreateLogStream', 'logs:PutLogEvents'], [log.logGroupArn]),
    ];
  }
  private glueArn(resource: string, resourceName?: string): string {
    return Stack.of(this).formatArn({
      service: 'glue',
      resource,
      ...(resourceName === undefined ? {} : { resourceName }),
    });
  }
}
