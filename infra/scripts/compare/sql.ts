/**
 * The question that both tables are asked: for each hour and device of a day, how many rows there are, and for each
 * field how many values and which sum.
 *
 * The dialect is Athena's (Trino); everything in it is also understood by DuckDB, which tests answer it with.
 */
import type { Field } from './fields';

/** A table and how its rows are told apart. */
export interface Side {
  readonly database: string;
  readonly table: string;
  /** The column with the device's id. */
  readonly device: string;
}

/** A day, as the partitions write it. */
export interface Day {
  readonly year: string;
  readonly month: string;
  readonly day: string;
}

/** Fields of one query: two expressions each, well below Athena's limits on the length of a statement. */
export const FIELDS_PER_QUERY = 150;

/** A day out of `2026-11-23`. */
export function parseDay(text: string): Day | undefined {
  const [, year, month, day] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text) ?? [];
  const isDay = !Number.isNaN(Date.parse(`${text}T00:00:00Z`));
  return year !== undefined && month !== undefined && day !== undefined && isDay ? { year, month, day } : undefined;
}

/** The question to one side about some of its fields. Columns of the answer: `hour`, `device`, `row_count`, `c0`, `s0`... */
export function question(side: Side, day: Day, asked: readonly Field[]): string {
  const expressions = asked.flatMap((field, index) => [
    `${added(field.columns.map(({ name }) => `count(${quoted(name)})`))} AS c${index}`,
    `${added(field.columns.map(total))} AS s${index}`,
  ]);
  const device = `coalesce(CAST(${quoted(side.device)} AS varchar), '')`;
  return [
    `SELECT "hour" AS "hour", ${device} AS device, count(*) AS row_count${expressions.map((e) => `,\n  ${e}`).join('')}`,
    `FROM ${quoted(side.database)}.${quoted(side.table)}`,
    `WHERE ${wherePartition(day)}`,
    `GROUP BY 1, 2`,
  ].join('\n');
}

/** How many rejects a day has. */
export function rejectsQuestion(side: Side, day: Day): string {
  const rejects = quoted(`${side.table}_rejects`);
  return `SELECT count(*) AS rejected FROM ${quoted(side.database)}.${rejects} WHERE ${wherePartition(day)}`;
}

function wherePartition({ year, month, day }: Day): string {
  return `"year" = '${year}' AND "month" = '${month}' AND "day" = '${day}'`;
}

function total({ name, sum }: Field['columns'][number]): string {
  const column = quoted(name);
  switch (sum) {
    case 'number':
      return `coalesce(sum(CAST(${column} AS double)), 0)`;
    case 'boolean':
      return `coalesce(sum(CASE WHEN ${column} THEN 1 ELSE 0 END), 0)`;
    case 'text':
      // A number may have arrived as text, and both lakes keep it as text then, under names that differ.
      return `coalesce(sum(try_cast(${column} AS double)), 0)`;
    case 'none':
      return '0';
  }
}

function added(terms: readonly string[]): string {
  return terms.length === 0 ? '0' : terms.join(' + ');
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
