/**
 * The one place where clients of AWS are made.
 *
 * Region and credentials come from where the AWS CLI has them. A stand-in for AWS, named by `AWS_ENDPOINT_URL`, has no
 * host name for each bucket, so there buckets go into the path.
 */
import { AthenaClient } from '@aws-sdk/client-athena';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { CognitoIdentityProviderClient } from '@aws-sdk/client-cognito-identity-provider';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { FirehoseClient } from '@aws-sdk/client-firehose';
import { GlueClient } from '@aws-sdk/client-glue';
import { IAMClient } from '@aws-sdk/client-iam';
import { IoTClient } from '@aws-sdk/client-iot';
import { IoTSiteWiseClient } from '@aws-sdk/client-iotsitewise';
import { KMSClient } from '@aws-sdk/client-kms';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { QuickSightClient } from '@aws-sdk/client-quicksight';
import { S3Client } from '@aws-sdk/client-s3';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SNSClient } from '@aws-sdk/client-sns';
import { SQSClient } from '@aws-sdk/client-sqs';

/** Clients of one region. Each is made when it is first asked for. */
export class Aws {
  private readonly made = new Map<string, unknown>();

  constructor(readonly region?: string) {}

  get athena(): AthenaClient {
    return this.client('athena', (options) => new AthenaClient(options));
  }

  get cloudFormation(): CloudFormationClient {
    return this.client('cloudFormation', (options) => new CloudFormationClient(options));
  }

  get cloudWatch(): CloudWatchClient {
    return this.client('cloudWatch', (options) => new CloudWatchClient(options));
  }

  get cognito(): CognitoIdentityProviderClient {
    return this.client('cognito', (options) => new CognitoIdentityProviderClient(options));
  }

  get dynamoDb(): DynamoDBClient {
    return this.client('dynamoDb', (options) => new DynamoDBClient(options));
  }

  get firehose(): FirehoseClient {
    return this.client('firehose', (options) => new FirehoseClient(options));
  }

  get glue(): GlueClient {
    return this.client('glue', (options) => new GlueClient(options));
  }

  get iam(): IAMClient {
    return this.client('iam', (options) => new IAMClient(options));
  }

  get iot(): IoTClient {
    return this.client('iot', (options) => new IoTClient(options));
  }

  get kms(): KMSClient {
    return this.client('kms', (options) => new KMSClient(options));
  }

  get lambda(): LambdaClient {
    return this.client('lambda', (options) => new LambdaClient(options));
  }

  get logs(): CloudWatchLogsClient {
    return this.client('logs', (options) => new CloudWatchLogsClient(options));
  }

  get quickSight(): QuickSightClient {
    return this.client('quickSight', (options) => new QuickSightClient(options));
  }

  get s3(): S3Client {
    const forcePathStyle = process.env.AWS_ENDPOINT_URL !== undefined;
    return this.client('s3', (options) => new S3Client({ ...options, forcePathStyle }));
  }

  get secrets(): SecretsManagerClient {
    return this.client('secrets', (options) => new SecretsManagerClient(options));
  }

  get sfn(): SFNClient {
    return this.client('sfn', (options) => new SFNClient(options));
  }

  get siteWise(): IoTSiteWiseClient {
    // Its control plane is `api.<host>`, which a stand-in does not have.
    const disableHostPrefix = process.env.AWS_ENDPOINT_URL !== undefined;
    return this.client('siteWise', (options) => new IoTSiteWiseClient({ ...options, disableHostPrefix }));
  }

  get sns(): SNSClient {
    return this.client('sns', (options) => new SNSClient(options));
  }

  get sqs(): SQSClient {
    // A stand-in names its queues by a host that it may not be reached by.
    const useQueueUrlAsEndpoint = process.env.AWS_ENDPOINT_URL === undefined;
    return this.client('sqs', (options) => new SQSClient({ ...options, useQueueUrlAsEndpoint }));
  }

  private client<T>(name: string, make: (options: ClientOptions) => T): T {
    const there = this.made.get(name);
    if (there !== undefined) return there as T;
    const made = make({ region: this.region, maxAttempts: 8, retryMode: 'adaptive' });
    this.made.set(name, made);
    return made;
  }
}

interface ClientOptions {
  readonly region?: string;
  readonly maxAttempts: number;
  readonly retryMode: string;
}

/** Whether AWS said that what was asked for is not there. */
export function isMissing(error: unknown): boolean {
  const name = error instanceof Error ? error.name : '';
  return [
    'NotFound',
    'NoSuchBucket',
    'NoSuchKey',
    'QueueDoesNotExist',
    'NotFoundException',
    'ResourceNotFoundException',
    'EntityNotFoundException',
  ].includes(name);
}

/** The answer, or nothing if what was asked for is not there. */
export async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
