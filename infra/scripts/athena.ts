/**
 * A question to Athena and its whole answer, as text.
 */
import {
  GetQueryExecutionCommand,
  paginateGetQueryResults,
  StartQueryExecutionCommand,
  type AthenaClient,
} from '@aws-sdk/client-athena';

import { Failure } from './arguments';
import { waitFor, type Patience } from './waiting';

/** Where questions are asked. */
export interface Workgroup {
  readonly name: string;
  /** Where answers go, if the workgroup does not say it. */
  readonly output?: string;
}

/** A row: text or NULL by name of column. */
export type Row = ReadonlyMap<string, string | undefined>;

/** Half an hour is Athena's own limit of a query. */
const PATIENCE: Patience = { every: 1_000, atMost: 1_800_000 };

/** Asks, waits, and reads all rows. A query that fails is a failure with Athena's reason. */
export async function query(
  client: AthenaClient,
  workgroup: Workgroup,
  sql: string,
  patience: Patience = PATIENCE,
): Promise<Row[]> {
  const output = workgroup.output;
  const started = await client.send(
    new StartQueryExecutionCommand({
      QueryString: sql,
      WorkGroup: workgroup.name,
      ...(output === undefined ? {} : { ResultConfiguration: { OutputLocation: output } }),
    }),
  );
  const QueryExecutionId = started.QueryExecutionId ?? '';
  const ended = await waitFor(patience, async () => {
    const { QueryExecution } = await client.send(new GetQueryExecutionCommand({ QueryExecutionId }));
    const status = QueryExecution?.Status;
    return ['SUCCEEDED', 'FAILED', 'CANCELLED'].includes(status?.State ?? '') ? status : undefined;
  });
  if (ended?.State !== 'SUCCEEDED') {
    const reason = ended?.StateChangeReason ?? 'no answer in time';
    throw new Failure(`query ${QueryExecutionId} ${ended?.State ?? 'runs still'}: ${reason}\n${sql}`);
  }
  return rows(client, QueryExecutionId);
}

async function rows(client: AthenaClient, QueryExecutionId: string): Promise<Row[]> {
  let names: string[] | undefined;
  const found: Row[] = [];
  for await (const page of paginateGetQueryResults({ client }, { QueryExecutionId })) {
    for (const { Data = [] } of page.ResultSet?.Rows ?? []) {
      const values = Data.map(({ VarCharValue }) => VarCharValue);
      // The first row of a SELECT's answer holds the names.
      if (names === undefined) names = values.map((value) => value ?? '');
      else found.push(new Map(names.map((name, index) => [name, values[index]])));
    }
  }
  return found;
}
