/**
 * One environment: everything but the pipeline and the dashboards, put together.
 */
import { aws_iam as iam, aws_s3 as s3, CfnOutput, Duration, Stack, Tags, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

import { AccessHandover } from './access-handover';
import { AtDeployment } from './at-deployment';
import { Backfill } from './backfill';
import { DataLake } from './data-lake';
import { Ingest } from './ingest';
import type { CodeSource } from './lambda-code';
import { contactTopic, Monitoring } from './monitoring';
import { Onboarding } from './onboarding';
import { RawDelivery } from './raw-delivery';
import { secureBucket } from './secure-bucket';
import type { Settings } from './settings';
import { SiteWise } from './sitewise';

export interface IotlakeStackProps extends StackProps {
  readonly settings: Settings;
  readonly code: CodeSource;
}

export class IotlakeStack extends Stack {
  readonly rawDelivery: RawDelivery;
  readonly lake: DataLake;
  readonly ingest: Ingest;
  readonly onboarding: Onboarding;

  constructor(scope: Construct, id: string, props: IotlakeStackProps) {
    super(scope, id, props);
    const { settings, code } = props;
    // Logs of access are allowed by the bucket's policy, since ACLs are off.
    this.node.setContext('@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy', true);
    // Not of the stack itself, whose tags cannot be parameters.
    Tags.of(this).add('iotlake:environment', settings.environment, { excludeResourceTypes: ['aws:cdk:stack'] });
    const logsBucket: s3.Bucket = secureBucket(this, 'AccessLogs', {
      keepData: settings.keepData,
      rules: [{ expiration: Duration.days(90) }],
    });
    this.rawDelivery = new RawDelivery(this, 'RawDelivery', { settings, logsBucket });
    this.lake = new DataLake(this, 'DataLake', { settings, logsBucket });
    this.rawDelivery.addRawTable(this.lake.databaseName, this.lake.database);
    this.ingest = new Ingest(this, 'Ingest', { settings, code, raw: this.rawDelivery.bucket, lake: this.lake });
    const init = new AtDeployment(this, 'Init', {
      settings,
      script: 'init',
      statements: [
        new iam.PolicyStatement({
          actions: ['lambda:InvokeFunction'],
          resources: [this.ingest.function.functionArn],
        }),
      ],
      // Another contract or table is another call.
      properties: {
        FunctionName: this.ingest.function.functionName,
        Contract: settings.contract,
        Table: settings.table,
      },
    });
    init.resource.node.addDependency(this.lake.database);
    new Backfill(this, 'Backfill', {
      settings,
      function: this.ingest.function,
      raw: this.rawDelivery.bucket,
      results: this.lake.results,
    });
    this.onboarding = new Onboarding(this, 'Onboarding', { settings, code });
    const topic = contactTopic(this, 'Contact', settings);
    new Monitoring(this, 'Monitoring', {
      settings,
      topic,
      rawDelivery: this.rawDelivery,
      ingest: this.ingest,
      onboarding: this.onboarding,
    });
    const sitewise = settings.sitewise ? new SiteWise(this, 'SiteWise', { settings }) : undefined;
    new AccessHandover(this, 'AccessHandover', {
      settings,
      onboarding: this.onboarding,
      databaseName: this.lake.databaseName,
      topic,
      ...(sitewise === undefined ? {} : { sitewiseRole: sitewise.role.roleArn }),
    });
    const outputs: Record<string, string> = {
      glueDbName: this.lake.databaseName,
      athenaTableName: settings.table,
      userPoolId: this.onboarding.userPool.userPoolId,
      cognitoAppClientId: this.onboarding.client.userPoolClientId,
      tokenEnpoint: this.onboarding.tokenEndpoint,
      iotOnboardingApiUrl: this.onboarding.apiUrl,
      rawBucketName: this.rawDelivery.bucket.bucketName,
      lakeBucketName: this.lake.bucket.bucketName,
      ...(sitewise === undefined ? {} : { iotSitewiseServiceRole: sitewise.role.roleArn }),
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }
}
