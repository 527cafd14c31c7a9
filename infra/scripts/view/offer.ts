/**
 * A view of iotlake under the database and name that readers of the quickstart know.
 *
 * In come the view that iotlake registered and a name; out comes a copy of it under that name. A view says in which
 * database its tables are, so a copy in another database reads the same tables.
 *
 * What must stay true: a table that holds the name is removed only if that was asked for, only if it is an external one
 * (its files stay), and only after its definition was written to a file from which it can be made again.
 */
import {
  CreateDatabaseCommand,
  CreateTableCommand,
  DeleteTableCommand,
  GetDatabaseCommand,
  GetTableCommand,
  UpdateTableCommand,
  type GlueClient,
  type Table,
  type TableInput,
} from '@aws-sdk/client-glue';

import { Failure } from '../arguments';
import { unlessMissing } from '../aws';

/** A name in the catalog. */
export interface Name {
  readonly database: string;
  readonly table: string;
}

/** What stands under the name now. */
export type There = 'nothing' | 'no database' | 'view' | 'table';

/** What is to be done. */
export interface Offer {
  readonly view: Name;
  readonly as: Name;
  /** Takes the definition of a table that is replaced; without it a table is not replaced. */
  readonly keep?: (definition: TableInput) => Promise<void>;
}

/** What stands under a name. */
export async function look(glue: GlueClient, name: Name): Promise<There> {
  const database = await unlessMissing(glue.send(new GetDatabaseCommand({ Name: name.database })));
  if (database === undefined) return 'no database';
  const table = await tableOf(glue, name);
  if (table === undefined) return 'nothing';
  return table.TableType === 'VIRTUAL_VIEW' ? 'view' : 'table';
}

/** Offers the view; repeating it renews the copy. */
export async function offer(glue: GlueClient, { view, as, keep }: Offer): Promise<void> {
  const copied = copy(await source(glue, view), as.table);
  switch (await look(glue, as)) {
    case 'no database':
      await glue.send(new CreateDatabaseCommand({ DatabaseInput: { Name: as.database } }));
      break;
    case 'view':
      await glue.send(new UpdateTableCommand({ DatabaseName: as.database, TableInput: copied }));
      return;
    case 'table':
      await release(glue, as, keep);
      break;
    case 'nothing':
      break;
  }
  await glue.send(new CreateTableCommand({ DatabaseName: as.database, TableInput: copied }));
}

/** Frees the name from a table whose files stay. */
async function release(glue: GlueClient, as: Name, keep: Offer['keep']): Promise<void> {
  const table = await tableOf(glue, as);
  if (table === undefined) return;
  if (table.TableType !== 'EXTERNAL_TABLE') {
    throw new Failure(`${as.database}.${as.table} is a ${table.TableType}: only an external table can be replaced`);
  }
  if (keep === undefined) {
    throw new Failure(
      `${as.database}.${as.table} is a table`,
      '--replace FILE keeps its definition in FILE and replaces it; its files stay where they are',
    );
  }
  await keep(definition(table));
  await glue.send(new DeleteTableCommand({ DatabaseName: as.database, Name: as.table }));
}

async function source(glue: GlueClient, name: Name): Promise<Table> {
  const view = await tableOf(glue, name);
  if (view?.TableType === 'VIRTUAL_VIEW') return view;
  throw new Failure(
    view === undefined
      ? `there is no view ${name.database}.${name.table}`
      : `${name.database}.${name.table} is no view`,
    'the view is made by a deployment with the contract `rigado`, as <table>_rigado',
  );
}

async function tableOf(glue: GlueClient, name: Name): Promise<Table | undefined> {
  const request = { DatabaseName: name.database, Name: name.table };
  return (await unlessMissing(glue.send(new GetTableCommand(request))))?.Table;
}

/** A copy of a view. What iotlake notes of its own views stays behind: it would not find this one as its own. */
function copy(view: Table, name: string): TableInput {
  const parameters = Object.entries(view.Parameters ?? {}).filter(([key]) => !key.startsWith('iotlake.'));
  return { ...definition(view), Name: name, Parameters: Object.fromEntries(parameters) };
}

/** What of a table can be written back. */
function definition(table: Table): TableInput {
  return {
    Name: table.Name ?? '',
    Description: table.Description,
    Owner: table.Owner,
    Retention: table.Retention,
    StorageDescriptor: table.StorageDescriptor,
    PartitionKeys: table.PartitionKeys,
    TableType: table.TableType,
    Parameters: table.Parameters,
    ViewOriginalText: table.ViewOriginalText,
    ViewExpandedText: table.ViewExpandedText,
  };
}
