/**
 * From a topic to raw objects: the IoT rule, Firehose, the bucket.
 *
 * In come messages of `rootMqttTopic`; out come objects `YYYY/MM/DD/HH/…` of lines of JSON, `ts` added. What must stay
 * true: keys tell their hour as the engine reads it; what the rule cannot deliver lands under `_rule-errors/`, whose
 * name the engine never takes for data, and is counted.
 */
import {
  aws_glue as glue,
  aws_iam as iam,
  aws_iot as iot,
  aws_kinesisfirehose as firehose,
  aws_logs as logs,
  aws_s3 as s3,
  Duration,
  RemovalPolicy,
  Stack,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';

import { secureBucket } from './secure-bucket';
import type { Settings } from './settings';
import { acknowledgeWildcard } from './wildcards';

/** Where Firehose puts objects: the hour of arrival, UTC. */
export const RAW_PREFIX = '!{timestamp:yyyy/MM/dd/HH}/';
/** Where it puts what it cannot deliver: folders that the engine skips by their names. */
export const ERROR_PREFIX = '!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd/HH}/';
/** Where the rule puts what it cannot hand on. */
export const RULE_ERRORS = '_rule-errors/';

export interface RawDeliveryProps {
  readonly settings: Settings;
  readonly logsBucket: s3.IBucket;
}

export class RawDelivery extends Construct {
  readonly bucket: s3.Bucket;
  readonly rule: iot.CfnTopicRule;
  /** The role of the rule's actions, for a further action. */
  readonly ruleRole: iam.Role;
  readonly stream: firehose.CfnDeliveryStream;

  constructor(scope: Construct, id: string, props: RawDeliveryProps) {
    super(scope, id);
    const { settings } = props;
    this.bucket = secureBucket(this, 'Raw', {
      keepData: settings.keepData,
      logs: props.logsBucket,
      rules: [
        { transitions: [{ storageClass: s3.StorageClass.INFREQUENT_ACCESS, transitionAfter: Duration.days(90) }] },
        { prefix: RULE_ERRORS, expiration: Duration.days(90) },
      ],
    });
    this.stream = this.deliver(settings);
    this.ruleRole = new iam.Role(this, 'RuleRole', {
      assumedBy: new iam.ServicePrincipal('iot.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    });
    this.ruleRole.addToPolicy(
      new iam.PolicyStatement({ actions: ['firehose:PutRecord'], resources: [this.stream.attrArn] }),
    );
    const errors = this.bucket.arnForObjects(`${RULE_ERRORS}*`);
    this.ruleRole.addToPolicy(new iam.PolicyStatement({ actions: ['s3:PutObject'], resources: [errors] }));
    acknowledgeWildcard(this.ruleRole, errors, 'Each message that fails becomes an object of its own');
    if (settings.republish) {
      const topic = Stack.of(this).formatArn({ service: 'iot', resource: 'topic', resourceName: 'alldata_test' });
      this.ruleRole.addToPolicy(new iam.PolicyStatement({ actions: ['iot:Publish'], resources: [topic] }));
    }
    this.rule = this.listen(settings);
    this.rule.node.addDependency(this.ruleRole.node.findChild('DefaultPolicy'));
  }

  private deliver(settings: Settings): firehose.CfnDeliveryStream {
    const log = new logs.LogGroup(this, 'FirehoseLog', {
      retention: settings.logDays as logs.RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const logStream = new logs.LogStream(this, 'FirehoseLogStream', {
      logGroup: log,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new iam.Role(this, 'FirehoseRole', {
      // The condition that Firehose's own guide has, so that no other account's stream is given the role.
      assumedBy: new iam.ServicePrincipal('firehose.amazonaws.com', {
        conditions: { StringEquals: { 'sts:ExternalId': Stack.of(this).account } },
      }),
    });
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['s3:GetBucketLocation', 's3:ListBucket', 's3:ListBucketMultipartUploads'],
        resources: [this.bucket.bucketArn],
      }),
    );
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['s3:AbortMultipartUpload', 's3:GetObject', 's3:PutObject'],
        resources: [this.bucket.arnForObjects('*')],
      }),
    );
    acknowledgeWildcard(role, this.bucket.arnForObjects('*'), 'Firehose names its objects by their time');
    role.addToPolicy(new iam.PolicyStatement({ actions: ['logs:PutLogEvents'], resources: [log.logGroupArn] }));
    const stream = new firehose.CfnDeliveryStream(this, 'Stream', {
      deliveryStreamType: 'DirectPut',
      deliveryStreamEncryptionConfigurationInput: { keyType: 'AWS_OWNED_CMK' },
      extendedS3DestinationConfiguration: {
        bucketArn: this.bucket.bucketArn,
        roleArn: role.roleArn,
        bufferingHints: { intervalInSeconds: settings.bufferSeconds, sizeInMBs: settings.bufferMegabytes },
        compressionFormat: settings.compressRaw ? 'GZIP' : 'UNCOMPRESSED',
        prefix: RAW_PREFIX,
        errorOutputPrefix: ERROR_PREFIX,
        cloudWatchLoggingOptions: {
          enabled: true,
          logGroupName: log.logGroupName,
          logStreamName: logStream.logStreamName,
        },
      },
    });
    stream.node.addDependency(role.node.findChild('DefaultPolicy'));
    return stream;
  }

  private listen(settings: Settings): iot.CfnTopicRule {
    // IoT SQL has no modulo of its own on a counter: a message is taken by its time in milliseconds.
    const sample = settings.sampleOneIn > 1 ? ` WHERE mod(timestamp(), ${settings.sampleOneIn}) = 0` : '';
    const actions: iot.CfnTopicRule.ActionProperty[] = [
      { firehose: { deliveryStreamName: this.stream.ref, roleArn: this.ruleRole.roleArn, separator: '\n' } },
    ];
    if (settings.republish) {
      actions.push({ republish: { roleArn: this.ruleRole.roleArn, topic: 'alldata_test', qos: 0 } });
    }
    return new iot.CfnTopicRule(this, 'Rule', {
      // Names of rules have no hyphens.
      ruleName: `iotlake_${settings.environment}`,
      topicRulePayload: {
        awsIotSqlVersion: '2016-03-23',
        sql: `SELECT *, timestamp() as ts FROM '${settings.rootMqttTopic}'${sample}`,
        ruleDisabled: false,
        actions,
        errorAction: {
          s3: {
            bucketName: this.bucket.bucketName,
            key: `${RULE_ERRORS}\${parse_time("yyyy/MM/dd/HH", timestamp())}/\${newuuid()}.json`,
            roleArn: this.ruleRole.roleArn,
          },
        },
      },
    });
  }

  /**
   * A table over the raw objects, each line as text, for looking at what arrived. Days are projected, not crawled, and
   * reach back three years: a query without a condition asks S3 for each of them. Athena lists a day's hours itself.
   */
  addRawTable(database: glue.CfnDatabase, databaseName: string, keepData: boolean): void {
    const location = `s3://${this.bucket.bucketName}/`;
    const table = new glue.CfnTable(this, 'RawTable', {
      catalogId: Stack.of(this).account,
      databaseName,
      tableInput: {
        name: 'raw',
        description: 'Raw objects, a line a row',
        tableType: 'EXTERNAL_TABLE',
        partitionKeys: [{ name: 'day', type: 'string', comment: 'of arrival, UTC, such as 2026/11/25' }],
        parameters: {
          classification: 'csv',
          'projection.enabled': 'true',
          'projection.day.type': 'date',
          'projection.day.format': 'yyyy/MM/dd',
          'projection.day.range': 'NOW-3YEARS,NOW',
          'projection.day.interval': '1',
          'projection.day.interval.unit': 'DAYS',
          'storage.location.template': `${location}\${day}/`,
        },
        storageDescriptor: {
          location,
          columns: [{ name: 'json', type: 'string' }],
          inputFormat: 'org.apache.hadoop.mapred.TextInputFormat',
          outputFormat: 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat',
          serdeInfo: {
            serializationLibrary: 'org.apache.hadoop.hive.serde2.RegexSerDe',
            parameters: { 'input.regex': '(.*)' },
          },
        },
      },
    });
    table.addResourceDependency(database);
    table.applyRemovalPolicy(keepData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY);
  }
}
