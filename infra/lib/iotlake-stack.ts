/**
 * One environment: everything but the pipeline and the dashboards, put together.
 */
import {
  aws_iam as iam,
  aws_s3 as s3,
  CfnCondition,
  CfnOutput,
  CfnResource,
  Duration,
  Fn,
  Stack,
  Tags,
  type StackProps,
} from 'aws-cdk-lib';
import type { Construct } from 'constructs';

import { AccessHandover } from './access-handover';
import { AtDeployment } from './at-deployment';
import { Backfill } from './backfill';
import type { SharedLake } from './dashboards';
import { DataLake } from './data-lake';
import { Ingest } from './ingest';
import { IotLogging } from './iot-logging';
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
  /** Exports are named after the environment, where the stack gets its name when it is deployed. */
  readonly exportsByEnvironment?: boolean;
  /** A parameter that is `true` if SiteWise is wanted, where that is said when it is deployed. */
  readonly sitewiseIf?: string;
}

/** The names of the exports of stacks that are named when they are deployed. */
export const exportsOf = (environment: string): { lake: string; results: string } => ({
  lake: `iotlake-${environment}-lake`,
  results: `iotlake-${environment}-results`,
});

export class IotlakeStack extends Stack {
  readonly rawDelivery: RawDelivery;
  readonly lake: DataLake;
  readonly ingest: Ingest;
  readonly onboarding: Onboarding;
  /** What the stack of dashboards needs of this one. */
  readonly shared: SharedLake;

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
    this.rawDelivery.addRawTable(this.lake.database, this.lake.databaseName, settings.keepData);
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
      // Another release, contract or table is another call: each may bring columns and views.
      properties: {
        FunctionName: this.ingest.function.functionName,
        Code: this.ingest.codeKey,
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
    if (settings.iotLogging) new IotLogging(this, 'IotLogging');
    this.shared = {
      ...this.exported(props),
      databaseName: this.lake.databaseName,
      workgroupName: this.lake.workgroup.name,
    };
    const sitewise = settings.sitewise ? new SiteWise(this, 'SiteWise', { settings }) : undefined;
    const condition = sitewise === undefined ? undefined : this.only(sitewise, props.sitewiseIf);
    const sitewiseRole =
      sitewise === undefined || condition === undefined
        ? sitewise?.role.roleArn
        : Fn.conditionIf(condition.logicalId, sitewise.role.roleArn, '').toString();
    new AccessHandover(this, 'AccessHandover', {
      settings,
      onboarding: this.onboarding,
      databaseName: this.lake.databaseName,
      topic,
      ...(sitewiseRole === undefined ? {} : { sitewiseRole }),
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
      mqttTopicFilter: settings.rootMqttTopic,
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
    if (sitewise !== undefined) {
      const value = sitewise.role.roleArn;
      new CfnOutput(this, 'iotSitewiseServiceRole', { value, ...(condition === undefined ? {} : { condition }) });
    }
  }

  /** Exports, with dashboards or without: one that comes and goes cannot go while they are there. */
  private exported({ settings, exportsByEnvironment }: IotlakeStackProps): { lakeArn: string; resultsArn: string } {
    const { bucket, results } = this.lake;
    if (exportsByEnvironment !== true) {
      return { lakeArn: this.exportValue(bucket.bucketArn), resultsArn: this.exportValue(results.bucketArn) };
    }
    const names = exportsOf(settings.environment);
    new CfnOutput(this, 'lakeBucketArn', { value: bucket.bucketArn, exportName: names.lake });
    new CfnOutput(this, 'resultsBucketArn', { value: results.bucketArn, exportName: names.results });
    return { lakeArn: Fn.importValue(names.lake), resultsArn: Fn.importValue(names.results) };
  }

  /** Makes what is within a construct depend on a parameter, if there is one. */
  private only(within: SiteWise, parameter: string | undefined): CfnCondition | undefined {
    if (parameter === undefined) return undefined;
    const expression = Fn.conditionEquals(parameter, 'true');
    const condition = new CfnCondition(this, 'WithSiteWise', { expression });
    for (const each of within.node.findAll()) {
      if (CfnResource.isCfnResource(each)) each.cfnOptions.condition = condition;
    }
    return condition;
  }
}
