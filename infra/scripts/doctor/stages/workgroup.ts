/** Athena's workgroup: whether it is on, puts answers where it should, and answers a question about the newest hour. */
import { GetWorkGroupCommand } from '@aws-sdk/client-athena';
import { GetTablesCommand } from '@aws-sdk/client-glue';

import { messageOf } from '../../arguments';
import { query } from '../../athena';
import { unlessMissing } from '../../aws';
import type { Stage } from '../look';
import { newest } from '../objects';
import { viewOf } from './view';

/** A question about one hour is answered in seconds; longer than this, Athena is in the way, not the lake. */
const PATIENCE = { every: 500, atMost: 120_000 };

export const workgroup: Stage = {
  name: 'workgroup',
  async examine(environment, look) {
    const { athena, glue, s3 } = environment.aws;
    const name = environment.get('AWS::Athena::WorkGroup');
    const described = athena.send(new GetWorkGroupCommand({ WorkGroup: name }));
    const found = (await unlessMissing(described.catch(gone)))?.WorkGroup;
    if (found === undefined) return look.broken(`the workgroup ${name} is gone`, 'deploy again');
    const results = `s3://${environment.get('AWS::S3::Bucket', 'DataLakeResults')}/`;
    const configuration = found.Configuration ?? {};
    const output = configuration.ResultConfiguration?.OutputLocation ?? '';
    look.fact('workgroup', `${name}, ${found.State}, answers at ${output || 'no place'}`);
    look.fact('limit of a query', configuration.BytesScannedCutoffPerQuery);
    if (found.State !== 'ENABLED') {
      look.broken(
        `the workgroup ${name} is ${found.State}`,
        `aws athena update-work-group --work-group ${name} --state ENABLED`,
      );
      return;
    }
    if (!output.startsWith(results)) {
      look.broken(`the workgroup ${name} puts answers at ${output || 'no place'}, not at ${results}`, 'deploy again');
      return;
    }
    // The newest hour, so that the question costs next to nothing.
    const [object] = await newest(s3, environment.output('rawBucketName'), '');
    const [year, month, day, hour] = (object?.Key ?? '0000/00/00/00/').split('/');
    const where = `"year" = '${year}' AND "month" = '${month}' AND "day" = '${day}' AND "hour" = '${hour}'`;
    const database = environment.output('glueDbName');
    const { TableList = [] } = await glue.send(new GetTablesCommand({ DatabaseName: database }));
    const there = new Set(TableList.map(({ Name }) => Name));
    // What is not there is told by the stages before.
    const asked = [environment.output('athenaTableName'), viewOf(environment)].filter((each) => there.has(each));
    for (const each of asked) {
      const sql = `SELECT count(*) AS n FROM "${database}"."${each}" WHERE ${where}`;
      try {
        const [row] = await query(athena, { name }, sql, PATIENCE);
        look.fact(each, `${row?.get('n')} rows in the newest hour`);
      } catch (error) {
        look.broken(`Athena does not answer for ${each}: ${messageOf(error)}`, 'TROUBLESHOOTING.md, "A query fails"');
      }
    }
  },
};

/** Athena calls a workgroup that is not there an invalid request. */
function gone(error: Error): undefined {
  if (error.name === 'InvalidRequestException') return undefined;
  throw error;
}
