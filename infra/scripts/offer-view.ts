/**
 * `npm run offer-view`: the lake under the database and table name of the quickstart, so that its readers go on.
 */
import { writeFile } from 'node:fs/promises';

import type { TableInput } from '@aws-sdk/client-glue';

import { Exit, Failure, main, messageOf, type Options } from './arguments';
import { Aws } from './aws';
import { look, offer } from './view/offer';

const OPTIONS: Options = {
  database: { required: true, meaning: "iotlake's Glue database" },
  view: { fallback: 'events_rigado', meaning: "iotlake's view" },
  'as-database': { required: true, meaning: "the quickstart's database, its output glueDbName" },
  'as-table': { required: true, meaning: "the quickstart's table, its output athenaTableName" },
  replace: { meaning: 'if a table has that name: keep its definition in this new file, and replace it' },
  region: { meaning: 'the region; as the AWS CLI has it' },
  yes: { flag: true, meaning: 'do it; without this it is only shown what would be done' },
};

const ABOUT = "Offers iotlake's view under another database and name. Files of a table that it replaces stay.";

main('offer-view', ABOUT, OPTIONS, async (parsed) => {
  const { glue } = new Aws(parsed.find('region'));
  const view = { database: parsed.get('database'), table: parsed.get('view') };
  const as = { database: parsed.get('as-database'), table: parsed.get('as-table') };
  const file = parsed.find('replace');
  if (!parsed.has('yes')) {
    console.log(`${as.database}.${as.table} now: ${await look(glue, as)}`);
    console.log(`It would become a copy of the view ${view.database}.${view.table}. Run it with --yes to do it.`);
    return Exit.Done;
  }
  await offer(glue, { view, as, keep: file === undefined ? undefined : (table) => keep(file, table) });
  console.log(`${as.database}.${as.table} is a view of ${view.database}.${view.table} now`);
  return Exit.Done;
});

/** Writes a definition to a file that is not there yet: that of the first replacement is not to be lost. */
async function keep(file: string, table: TableInput): Promise<void> {
  try {
    await writeFile(file, `${JSON.stringify(table, undefined, 2)}\n`, { flag: 'wx' });
  } catch (error) {
    throw new Failure(
      `the definition of ${table.Name} cannot be kept: ${messageOf(error)}`,
      '--replace names a new file',
    );
  }
}
