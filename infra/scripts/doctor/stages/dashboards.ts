/** QuickSight: whether data source and data set are well, what the last import said, and what the dashboard complains of. */
import {
  DescribeDashboardCommand,
  DescribeDataSetCommand,
  DescribeDataSourceCommand,
  ListIngestionsCommand,
} from '@aws-sdk/client-quicksight';

import { unlessMissing } from '../../aws';
import type { Environment } from '../environment';
import type { Look, Stage } from '../look';
import { mayDo } from '../roles';

const AGAIN = 'deploy the stack of the dashboards again';

export const dashboards: Stage = {
  name: 'data source and data set',
  async examine(environment, look) {
    if (environment.dashboards === undefined) return look.absent('no dashboards are deployed');
    const id = `iotlake-${environment.name}`;
    const account = { AwsAccountId: environment.account };
    await source(environment, look, { ...account, DataSourceId: id });
    await set(environment, look, { ...account, DataSetId: id });
    const { quickSight } = environment.aws;
    const asked = quickSight.send(new DescribeDashboardCommand({ ...account, DashboardId: id }));
    const dashboard = (await unlessMissing(asked))?.Dashboard;
    if (dashboard === undefined) return look.broken(`the dashboard ${id} is gone`, AGAIN);
    const { Status = '', Errors = [] } = dashboard.Version ?? {};
    look.fact('dashboard', `${Status}, published ${environment.ago(dashboard.LastPublishedTime)}`);
    if (Errors.length > 0 || Status.endsWith('FAILED')) {
      const said = Errors.map(({ Type, Message }) => `${Type}: ${Message}`).join('; ');
      look.broken(`the dashboard ${id} is ${Status}: ${said || 'no reason given'}`, AGAIN);
    }
  },
};

async function source(
  environment: Environment,
  look: Look,
  asked: { AwsAccountId: string; DataSourceId: string },
): Promise<void> {
  const described = environment.aws.quickSight.send(new DescribeDataSourceCommand(asked));
  const found = (await unlessMissing(described))?.DataSource;
  if (found === undefined) return look.broken(`the data source ${asked.DataSourceId} is gone`, AGAIN);
  look.fact('data source', `${found.Status}, of ${found.DataSourceParameters?.AthenaParameters?.WorkGroup}`);
  if (found.Status?.endsWith('FAILED') === true) {
    const { Type = '', Message = '' } = found.ErrorInfo ?? {};
    look.broken(
      `the data source is ${found.Status}: ${Type} ${Message}`.trimEnd(),
      `mend what it names, then ${AGAIN}`,
    );
  }
  const role = found.DataSourceParameters?.AthenaParameters?.RoleArn;
  if (role === undefined) return;
  const partition = environment.stack.id.split(':')[1];
  const { region, account } = environment;
  const lake = `arn:${partition}:s3:::${environment.output('lakeBucketName')}`;
  const group = environment.get('AWS::Athena::WorkGroup');
  await mayDo(environment, look, role, {
    [`${lake}/events/file`]: ['s3:GetObject'],
    [`arn:${partition}:athena:${region}:${account}:workgroup/${group}`]: ['athena:StartQueryExecution'],
  });
}

async function set(
  environment: Environment,
  look: Look,
  asked: { AwsAccountId: string; DataSetId: string },
): Promise<void> {
  const { quickSight } = environment.aws;
  const found = (await unlessMissing(quickSight.send(new DescribeDataSetCommand(asked))))?.DataSet;
  if (found === undefined) return look.broken(`the data set ${asked.DataSetId} is gone`, AGAIN);
  look.fact('data set', `${found.ImportMode}, ${found.OutputColumns?.length ?? 0} columns`);
  if (found.ImportMode !== 'SPICE') return;
  const { Ingestions = [] } = await quickSight.send(new ListIngestionsCommand(asked));
  const [last] = Ingestions.sort((one, other) => Number(other.CreatedTime ?? 0) - Number(one.CreatedTime ?? 0));
  if (last === undefined) return look.quiet('nothing was imported yet');
  look.fact(
    'last import',
    `${last.IngestionStatus}, ${environment.ago(last.CreatedTime)}, ${last.RowInfo?.RowsIngested ?? 0} rows`,
  );
  if (last.IngestionStatus === 'FAILED') {
    const { Type = '', Message = '' } = last.ErrorInfo ?? {};
    look.broken(
      `the last import failed: ${Type} ${Message}`.trimEnd(),
      'TROUBLESHOOTING.md, "The dashboard shows errors"',
    );
  }
}
