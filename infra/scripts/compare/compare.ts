/**
 * A day of an old table beside a new one.
 *
 * In come two tables of the Glue catalog; out comes what differs. Both are read as they are, through Athena: the old one
 * as the quickstart's crawler describes it, the new one as iotlake does.
 */
import { GetTableCommand, type GlueClient } from '@aws-sdk/client-glue';

import { Failure } from '../arguments';
import { unlessMissing, type Aws } from '../aws';
import { query, type Workgroup } from '../athena';
import { differences, tally, type Difference, type Tallies } from './differences';
import { fields, type Column, type Field } from './fields';
import { FIELDS_PER_QUERY, question, rejectsQuestion, type Day, type Side } from './sql';

/** What is to be compared. */
export interface Comparison {
  readonly old: Side;
  readonly new: Side;
  readonly day: Day;
  readonly workgroup: Workgroup;
  /** Fields that are left out, since it is known why they differ. */
  readonly ignored: readonly string[];
}

/** What was found. */
export interface Report {
  readonly rows: { readonly old: number; readonly new: number };
  /** Records of the day that iotlake keeps as rejects; `undefined` if there is no table of them. */
  readonly rejected?: number;
  /** Hours and devices that were compared. */
  readonly groups: number;
  readonly fields: number;
  readonly onlyOld: readonly string[];
  readonly onlyNew: readonly string[];
  readonly differences: readonly Difference[];
}

/** Asks both sides and compares. */
export async function compare(aws: Aws, comparison: Comparison): Promise<Report> {
  const { old: before, new: after, day, workgroup } = comparison;
  const asked = ({ name }: Field): boolean => !comparison.ignored.includes(name);
  const oldFields = (await fieldsOf(aws.glue, before)).filter(asked);
  const newFields = (await fieldsOf(aws.glue, after)).filter(asked);
  const [old, now] = [
    await ask(aws, workgroup, before, day, oldFields),
    await ask(aws, workgroup, after, day, newFields),
  ];
  const [filledOld, filledNew] = [filled(old), filled(now)];
  return {
    rows: { old: rows(old), new: rows(now) },
    rejected: await rejected(aws, workgroup, after, day),
    groups: new Set([...old.keys(), ...now.keys()]).size,
    fields: new Set([...filledOld, ...filledNew]).size,
    onlyOld: [...filledOld].filter((name) => !filledNew.has(name)).sort(),
    onlyNew: [...filledNew].filter((name) => !filledOld.has(name)).sort(),
    differences: differences(old, now),
  };
}

async function fieldsOf(glue: GlueClient, side: Side): Promise<Field[]> {
  const request = { DatabaseName: side.database, Name: side.table };
  const answer = await unlessMissing(glue.send(new GetTableCommand(request)));
  const columns: Column[] = (answer?.Table?.StorageDescriptor?.Columns ?? []).map(({ Name, Type }) => ({
    name: Name ?? '',
    type: (Type ?? '').toLowerCase(),
  }));
  if (!columns.some(({ name }) => name === side.device)) {
    throw new Failure(
      answer === undefined
        ? `there is no table ${side.database}.${side.table}`
        : `${side.database}.${side.table} has no column "${side.device}" that tells devices apart`,
      'aws glue get-tables --database-name DATABASE shows what there is',
    );
  }
  return fields(columns);
}

async function ask(aws: Aws, workgroup: Workgroup, side: Side, day: Day, all: readonly Field[]): Promise<Tallies> {
  const tallies: Tallies = new Map();
  for (let from = 0; from === 0 || from < all.length; from += FIELDS_PER_QUERY) {
    const asked = all.slice(from, from + FIELDS_PER_QUERY);
    tally(tallies, await query(aws.athena, workgroup, question(side, day, asked)), asked);
  }
  return tallies;
}

async function rejected(aws: Aws, workgroup: Workgroup, side: Side, day: Day): Promise<number | undefined> {
  const request = { DatabaseName: side.database, Name: `${side.table}_rejects` };
  if ((await unlessMissing(aws.glue.send(new GetTableCommand(request)))) === undefined) return undefined;
  const [row] = await query(aws.athena, workgroup, rejectsQuestion(side, day));
  return Number(row?.get('rejected') ?? 0);
}

/** Fields that have a value anywhere. */
function filled(tallies: Tallies): Set<string> {
  return new Set([...tallies.values()].flatMap(({ fields: its }) => [...its.keys()]));
}

function rows(tallies: Tallies): number {
  return [...tallies.values()].reduce((sum, each) => sum + each.rows, 0);
}
