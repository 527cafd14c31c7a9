/**
 * The dashboard: Athena answers the question of every panel, and QuickSight has imported the data set, or at least made
 * source, set and dashboard without a complaint.
 */
import {
  CreateIngestionCommand,
  DescribeDashboardCommand,
  DescribeDashboardDefinitionCommand,
  DescribeDataSetCommand,
  DescribeDataSourceCommand,
  DescribeIngestionCommand,
} from '@aws-sdk/client-quicksight';

import { query as queryOf } from '../../../lib/dashboards/data-set';
import { definition as ours } from '../../../lib/dashboards/panels';
import { messageOf } from '../../arguments';
import { query } from '../../athena';
import { waitFor } from '../../waiting';
import type { Context } from '../context';
import { asTemplate, panelQueries } from './panel-query';

/** Asks Athena what each panel asks. */
export async function panels(context: Context): Promise<void> {
  const { environment, report } = context;
  const { definition, sql, from } = await asked(context);
  report.saw('panels', `panels and query are ${from}`);
  const name = environment.get('AWS::Athena::WorkGroup');
  const failed: string[] = [];
  const questions = panelQueries(definition, sql);
  for (const { panel, sql: question } of questions) {
    try {
      const rows = await query(environment.aws.athena, { name }, question);
      report.saw('panels', `${panel}: ${rows.length} rows`);
    } catch (error) {
      failed.push(`${panel}: ${messageOf(error)}`);
    }
  }
  if (questions.length === 0) report.refuted('panels', 'the dashboard has no panels');
  else if (failed.length > 0) report.refuted('panels', failed.join('; '));
  else report.proved('panels');
}

/** Panels and query as QuickSight has them; as the template has them, where no dashboard is deployed. */
async function asked({ environment }: Context): Promise<{ definition: object; sql: string; from: string }> {
  const sql = queryOf(environment.output('glueDbName'), environment.output('athenaTableName'));
  if (environment.dashboards === undefined) {
    return { definition: ours('arn'), sql, from: "the template's, since no dashboards are deployed" };
  }
  const id = `iotlake-${environment.name}`;
  const account = { AwsAccountId: environment.account };
  const { quickSight } = environment.aws;
  const board = await quickSight.send(new DescribeDashboardDefinitionCommand({ ...account, DashboardId: id }));
  const set = await quickSight.send(new DescribeDataSetCommand({ ...account, DataSetId: id }));
  const [table] = Object.values(set.DataSet?.PhysicalTableMap ?? {});
  const definition = asTemplate(board.Definition ?? {}) as object;
  return { definition, sql: table?.CustomSql?.SqlQuery ?? sql, from: "QuickSight's, as it has them now" };
}

/** Has QuickSight import the data set where it keeps a copy, and looks what it complains of. */
export async function dashboard(context: Context): Promise<void> {
  const { environment, report, id: run, patience } = context;
  if (environment.dashboards === undefined) {
    return report.skipped('dashboard', 'no dashboards are deployed: deploy with `-c quickSightAdminUserName=NAME`');
  }
  const { quickSight } = environment.aws;
  const id = `iotlake-${environment.name}`;
  const account = { AwsAccountId: environment.account };
  const source = await quickSight.send(new DescribeDataSourceCommand({ ...account, DataSourceId: id }));
  const status = source.DataSource?.Status ?? 'not there';
  report.saw('dashboard', `data source: ${status}`);
  if (!status.endsWith('SUCCESSFUL')) {
    const said = source.DataSource?.ErrorInfo?.Message ?? 'no reason given';
    return report.refuted('dashboard', `the data source is ${status}: ${said}`);
  }
  const set = await quickSight.send(new DescribeDataSetCommand({ ...account, DataSetId: id }));
  const mode = set.DataSet?.ImportMode ?? '';
  report.saw('dashboard', `data set: ${mode}, ${set.DataSet?.OutputColumns?.length ?? 0} columns`);
  if (mode === 'SPICE') {
    const IngestionId = `prove-${run}`;
    await quickSight.send(new CreateIngestionCommand({ ...account, DataSetId: id, IngestionId }));
    const ended = await waitFor(patience.run, async () => {
      const ingestion = new DescribeIngestionCommand({ ...account, DataSetId: id, IngestionId });
      const now = (await quickSight.send(ingestion)).Ingestion;
      return ['COMPLETED', 'FAILED', 'CANCELLED'].includes(now?.IngestionStatus ?? '') ? now : undefined;
    });
    if (ended?.IngestionStatus !== 'COMPLETED') {
      const said = ended?.ErrorInfo?.Message ?? 'it did not end in time';
      return report.refuted('dashboard', `the import is ${ended?.IngestionStatus ?? 'running still'}: ${said}`);
    }
    const { RowsIngested = 0, RowsDropped = 0 } = ended.RowInfo ?? {};
    report.saw('dashboard', `import ${IngestionId}: ${RowsIngested} rows, ${RowsDropped} dropped`);
  }
  const board = await quickSight.send(new DescribeDashboardCommand({ ...account, DashboardId: id }));
  const { Status = 'not there', Errors = [] } = board.Dashboard?.Version ?? {};
  report.saw('dashboard', `dashboard: ${Status}, ${Errors.length} complaints`);
  if (Errors.length > 0 || !Status.endsWith('SUCCESSFUL')) {
    const said = Errors.map(({ Type, Message }) => `${Type}: ${Message}`).join('; ');
    return report.refuted('dashboard', `the dashboard is ${Status}: ${said || 'no reason given'}`);
  }
  report.proved('dashboard');
}
