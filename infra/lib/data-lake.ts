/**
 * The lake: its bucket, the Glue database, the Athena workgroup with a limit on what a query may cost.
 *
 * Tables and views are not here: the engine makes them when it is deployed, and adds columns later, which an update of
 * a stack would take away.
 */
import { aws_athena as athena, aws_glue as glue, aws_s3 as s3, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';

import { secureBucket } from './secure-bucket';
import type { Settings } from './settings';

export interface DataLakeProps {
  readonly settings: Settings;
  readonly logsBucket: s3.IBucket;
}

export class DataLake extends Construct {
  readonly bucket: s3.Bucket;
  readonly results: s3.Bucket;
  readonly database: glue.CfnDatabase;
  /** Without hyphens, which Spark and Hive refuse. */
  readonly databaseName: string;
  readonly workgroup: athena.CfnWorkGroup;

  constructor(scope: Construct, id: string, props: DataLakeProps) {
    super(scope, id);
    const { settings } = props;
    this.bucket = secureBucket(this, 'Lake', { keepData: settings.keepData, logs: props.logsBucket });
    this.results = secureBucket(this, 'Results', {
      keepData: false,
      logs: props.logsBucket,
      rules: [{ expiration: Duration.days(7) }],
    });
    this.databaseName = `iotlake_${settings.environment}`;
    this.database = new glue.CfnDatabase(this, 'Database', {
      catalogId: Stack.of(this).account,
      databaseInput: { name: this.databaseName, description: 'Messages of IoT devices, by iotlake' },
    });
    // Glue deletes a database with the tables in it, and without them the kept files cannot be read.
    this.database.applyRemovalPolicy(settings.keepData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY);
    this.workgroup = new athena.CfnWorkGroup(this, 'Workgroup', {
      name: `iotlake-${settings.environment}`,
      recursiveDeleteOption: true,
      workGroupConfiguration: {
        enforceWorkGroupConfiguration: true,
        publishCloudWatchMetricsEnabled: true,
        bytesScannedCutoffPerQuery: settings.queryLimitBytes,
        engineVersion: { selectedEngineVersion: 'Athena engine version 3' },
        resultConfiguration: {
          outputLocation: `s3://${this.results.bucketName}/`,
          encryptionConfiguration: { encryptionOption: 'SSE_S3' },
        },
      },
    });
    this.name(
      'MessagesByHour',
      `SELECT year, month, day, hour, count(*) AS messages FROM "${settings.table}"
GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC, 2 DESC, 3 DESC, 4 DESC LIMIT 48`,
    );
    this.name(
      'LatestRejects',
      `SELECT reason, line, _source FROM "${settings.table}_rejects"
WHERE year = date_format(now(), '%Y') AND month = date_format(now(), '%m') LIMIT 100`,
    );
  }

  private name(id: string, queryString: string): void {
    const query = new athena.CfnNamedQuery(this, id, {
      database: this.databaseName,
      workGroup: this.workgroup.name,
      name: id,
      queryString,
    });
    query.addResourceDependency(this.workgroup);
    query.addResourceDependency(this.database);
  }
}
