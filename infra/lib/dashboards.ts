/**
 * The dashboard of the kit's devices in QuickSight: data source, data set, analysis, dashboard.
 *
 * In come the lake and an admin user of QuickSight; out comes a dashboard that this user owns and shares. QuickSight
 * queries Athena in its own region only, so all of this is in the lake's region; the user may be registered in
 * another, where the account's identities are. Queries run with a role that reads this lake and writes results of this
 * workgroup, so that nothing has to be allowed by hand to QuickSight as a whole.
 */
import { aws_iam as iam, aws_quicksight as quicksight, Stack, Validations } from 'aws-cdk-lib';
import { Construct } from 'constructs';

import { query, QUERY_COLUMNS, viewOf } from './dashboards/data-set';
import { definition, PLACEHOLDER } from './dashboards/panels';
import type { Settings } from './settings';
import { acknowledgeWildcard } from './wildcards';

/** What dashboards need of an environment's stack. */
export interface SharedLake {
  readonly lakeArn: string;
  readonly resultsArn: string;
  readonly databaseName: string;
  readonly workgroupName: string;
}

export interface DashboardsProps {
  readonly settings: Settings;
  readonly lake: SharedLake;
}

/** What an owner may do: QuickSight takes these sets as a whole and no others. */
const OWNER: Readonly<Record<'DataSource' | 'DataSet' | 'Analysis' | 'Dashboard', readonly string[]>> = {
  DataSource: [
    'DescribeDataSource',
    'DescribeDataSourcePermissions',
    'PassDataSource',
    'UpdateDataSource',
    'DeleteDataSource',
    'UpdateDataSourcePermissions',
  ],
  DataSet: [
    'DescribeDataSet',
    'DescribeDataSetPermissions',
    'PassDataSet',
    'DescribeIngestion',
    'ListIngestions',
    'UpdateDataSet',
    'DeleteDataSet',
    'CreateIngestion',
    'CancelIngestion',
    'UpdateDataSetPermissions',
  ],
  Analysis: [
    'RestoreAnalysis',
    'UpdateAnalysisPermissions',
    'DeleteAnalysis',
    'QueryAnalysis',
    'DescribeAnalysisPermissions',
    'DescribeAnalysis',
    'UpdateAnalysis',
  ],
  Dashboard: [
    'DescribeDashboard',
    'ListDashboardVersions',
    'UpdateDashboardPermissions',
    'QueryDashboard',
    'UpdateDashboard',
    'DeleteDashboard',
    'DescribeDashboardPermissions',
    'UpdateDashboardPublishedVersion',
  ],
};

export class Dashboards extends Construct {
  readonly role: iam.Role;
  readonly dashboardId: string;

  constructor(scope: Construct, id: string, props: DashboardsProps) {
    super(scope, id);
    const { settings, lake } = props;
    const stack = Stack.of(this);
    const name = `iotlake-${settings.environment}`;
    const principal = stack.formatArn({
      service: 'quicksight',
      region: settings.quickSightAdminUserRegion || stack.region,
      resource: 'user',
      resourceName: `default/${settings.quickSightAdminUserName}`,
    });
    const permissions = (kind: keyof typeof OWNER): { principal: string; actions: string[] }[] => [
      { principal, actions: OWNER[kind].map((action) => `quicksight:${action}`) },
    ];
    const common = { awsAccountId: stack.account, name };

    this.role = this.queryRole(lake);
    const source = new quicksight.CfnDataSource(this, 'Source', {
      ...common,
      dataSourceId: name,
      type: 'ATHENA',
      dataSourceParameters: { athenaParameters: { workGroup: lake.workgroupName, roleArn: this.role.roleArn } },
      sslProperties: { disableSsl: false },
      permissions: permissions('DataSource'),
    });
    // QuickSight tries a query when the source is made, so that the role must have its policy by then.
    source.node.addDependency(this.role.node.findChild('DefaultPolicy'));

    const dataSet = new quicksight.CfnDataSet(this, 'DataSet', {
      ...common,
      dataSetId: name,
      importMode: settings.quickSightImport,
      physicalTableMap: {
        view: {
          customSql: {
            name: viewOf(settings.table),
            dataSourceArn: source.attrArn,
            sqlQuery: query(lake.databaseName, settings.table),
            columns: QUERY_COLUMNS.map(({ name: column, type }) => ({ name: column, type })),
          },
        },
      },
      logicalTableMap: {
        messages: {
          alias: viewOf(settings.table),
          source: { physicalTableId: 'view' },
          dataTransforms: [{ projectOperation: { projectedColumns: QUERY_COLUMNS.map((column) => column.name) } }],
        },
      },
      permissions: permissions('DataSet'),
    });
    Validations.of(dataSet).acknowledge({
      id: 'CloudFormation-Validate::W9009',
      reason: 'The form of data sets that templates were made on; its successor could not be tried without an account',
    });
    if (settings.quickSightImport === 'SPICE') {
      const schedule = new quicksight.CfnRefreshSchedule(this, 'Refresh', {
        awsAccountId: stack.account,
        dataSetId: name,
        schedule: {
          scheduleId: name,
          refreshType: 'FULL_REFRESH',
          scheduleFrequency: { interval: 'HOURLY', timeZone: 'UTC' },
        },
      });
      schedule.node.addDependency(dataSet);
    }

    // A template brings its own panels; without one they are ours.
    const contents =
      settings.sourceTemplateArn === ''
        ? { definition: definition(dataSet.attrArn) }
        : {
            sourceEntity: {
              sourceTemplate: {
                arn: settings.sourceTemplateArn,
                dataSetReferences: [{ dataSetArn: dataSet.attrArn, dataSetPlaceholder: PLACEHOLDER }],
              },
            },
          };
    new quicksight.CfnAnalysis(this, 'Analysis', {
      ...common,
      ...contents,
      analysisId: name,
      permissions: permissions('Analysis'),
    });
    this.dashboardId = name;
    new quicksight.CfnDashboard(this, 'Dashboard', {
      ...common,
      ...contents,
      dashboardId: name,
      permissions: permissions('Dashboard'),
    });
  }

  /** The role of queries: one workgroup, one database, one bucket to read, one for results. */
  private queryRole({ lakeArn: lake, resultsArn: written, databaseName, workgroupName }: SharedLake): iam.Role {
    const stack = Stack.of(this);
    const glue = (resource: string, resourceName?: string): string =>
      stack.formatArn({ service: 'glue', resource, ...(resourceName === undefined ? {} : { resourceName }) });
    const tables = glue('table', `${databaseName}/*`);
    const role = new iam.Role(this, 'Role', { assumedBy: new iam.ServicePrincipal('quicksight.amazonaws.com') });
    const allow = (actions: string[], resources: string[]): void => {
      role.addToPolicy(new iam.PolicyStatement({ actions, resources }));
    };
    allow(
      [
        'athena:BatchGetQueryExecution',
        'athena:GetQueryExecution',
        'athena:GetQueryResults',
        'athena:GetQueryResultsStream',
        'athena:GetWorkGroup',
        'athena:ListQueryExecutions',
        'athena:StartQueryExecution',
        'athena:StopQueryExecution',
      ],
      [stack.formatArn({ service: 'athena', resource: 'workgroup', resourceName: workgroupName })],
    );
    allow(
      [
        'athena:GetDataCatalog',
        'athena:GetDatabase',
        'athena:GetTableMetadata',
        'athena:ListDatabases',
        'athena:ListTableMetadata',
      ],
      [stack.formatArn({ service: 'athena', resource: 'datacatalog', resourceName: 'AwsDataCatalog' })],
    );
    allow(
      [
        'glue:BatchGetPartition',
        'glue:GetDatabase',
        'glue:GetDatabases',
        'glue:GetPartition',
        'glue:GetPartitions',
        'glue:GetTable',
        'glue:GetTables',
      ],
      [glue('catalog'), glue('database', databaseName), tables],
    );
    allow(['s3:GetBucketLocation', 's3:ListBucket'], [lake, written]);
    allow(['s3:GetObject'], [`${lake}/*`]);
    allow(['s3:AbortMultipartUpload', 's3:GetObject', 's3:ListMultipartUploadParts', 's3:PutObject'], [`${written}/*`]);
    acknowledgeWildcard(role, tables, 'The view reads the table; QuickSight lists what the database has');
    acknowledgeWildcard(role, `${lake}/*`, "A query reads whichever of the lake's files have its rows");
    acknowledgeWildcard(role, `${written}/*`, 'Athena names results by the id of the query');
    return role;
  }
}
