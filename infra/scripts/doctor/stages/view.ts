/** The view with the quickstart's names: whether it is there, and is a view that Athena can read. */
import { GetTableCommand } from '@aws-sdk/client-glue';
import { GetFunctionConfigurationCommand } from '@aws-sdk/client-lambda';

import { unlessMissing } from '../../aws';
import type { Environment } from '../environment';
import type { Stage } from '../look';

/** How Athena keeps a view in the catalog. */
const STORED = /^\/\* Presto View: ([A-Za-z0-9+/=]+) \*\/$/;

export const view: Stage = {
  name: 'view',
  async examine(environment, look) {
    const [DatabaseName, table] = [environment.output('glueDbName'), environment.output('athenaTableName')];
    const Name = viewOf(environment);
    const found = (await unlessMissing(environment.aws.glue.send(new GetTableCommand({ DatabaseName, Name }))))?.Table;
    const FunctionName = environment.get('AWS::Lambda::Function', 'IngestFunction');
    const init = `aws lambda invoke --function-name ${FunctionName} --payload '{"init": true}' --cli-binary-format raw-in-base64-out /dev/stdout`;
    if (found === undefined) {
      const asked = environment.aws.lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
      const contract = (await unlessMissing(asked))?.Environment?.Variables?.IOTLAKE_CONTRACT;
      if (contract !== undefined && contract !== 'rigado') {
        return look.absent(`the contract ${contract} has no view; read the table ${table}`);
      }
      return look.broken(`the view ${DatabaseName}.${Name} is gone`, init);
    }
    const [, encoded] = STORED.exec(found.ViewOriginalText ?? '') ?? [];
    const columns = found.StorageDescriptor?.Columns?.length ?? 0;
    if (found.TableType !== 'VIRTUAL_VIEW' || encoded === undefined) {
      return look.broken(`${Name} is no view that Athena reads: it is a ${found.TableType}`, `drop it, then ${init}`);
    }
    const { originalSql = '' } = JSON.parse(Buffer.from(encoded, 'base64').toString()) as { originalSql?: string };
    look.fact(Name, `${columns} columns, of ${DatabaseName}`);
    if (!originalSql.includes(`"${table}"`)) {
      look.broken(`the view ${Name} does not read the table ${table}`, `drop it, then ${init}`);
    }
  },
};

/** The name of the engine's view. */
export function viewOf(environment: Environment): string {
  return `${environment.output('athenaTableName')}_rigado`;
}
