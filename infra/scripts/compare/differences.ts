/**
 * Where two answers to the same question differ.
 *
 * In come, for each side, rows of (hour, device), counts and sums; out come differences in a fixed order. Sums are of
 * floating-point numbers in an order that no engine promises, so they may differ in their last digits. An array has no
 * sum: the quickstart's job replaced it by a key without meaning, of which only that it is there can be compared.
 */
import type { Row } from '../athena';
import type { Field } from './fields';

/** What a side says of one hour and device: rows, and by field how many values, and their sum if they have one. */
export interface Tally {
  rows: number;
  readonly fields: Map<string, { readonly count: number; readonly sum?: number }>;
}

/** Tallies by `hour device`. */
export type Tallies = Map<string, Tally>;

/** A number that differs. */
export interface Difference {
  readonly hour: string;
  readonly device: string;
  /** `rows`, or a field. */
  readonly what: string;
  readonly measure: 'rows' | 'values' | 'sum';
  readonly old: number;
  readonly new: number;
}

/** How far sums may lie apart, as a share of the larger one. */
const TOLERANCE = 1e-9;

/** Adds the rows of one answer to the tallies of a side. */
export function tally(into: Tallies, answer: readonly Row[], asked: readonly Field[]): void {
  for (const row of answer) {
    const key = `${row.get('hour') ?? ''} ${row.get('device') ?? ''}`;
    const there = into.get(key) ?? { rows: 0, fields: new Map() };
    there.rows = number(row.get('row_count'));
    asked.forEach((field, index) => {
      const count = number(row.get(`c${index}`));
      const hasSum = field.columns.some(({ sum }) => sum !== 'none');
      const sum = hasSum ? number(row.get(`s${index}`)) : undefined;
      if (count > 0) there.fields.set(field.name, { count, sum });
    });
    into.set(key, there);
  }
}

/** All differences, by hour, device and field. */
export function differences(old: Tallies, now: Tallies): Difference[] {
  const found: Difference[] = [];
  const none: Tally = { rows: 0, fields: new Map() };
  for (const key of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    const space = key.indexOf(' ');
    const where = { hour: key.slice(0, space), device: key.slice(space + 1) };
    const [before, after] = [old.get(key) ?? none, now.get(key) ?? none];
    if (before.rows !== after.rows) {
      found.push({ ...where, what: 'rows', measure: 'rows', old: before.rows, new: after.rows });
    }
    for (const what of [...new Set([...before.fields.keys(), ...after.fields.keys()])].sort()) {
      const [a, b] = [before.fields.get(what), after.fields.get(what)];
      const [countA, countB] = [a?.count ?? 0, b?.count ?? 0];
      if (countA !== countB) found.push({ ...where, what, measure: 'values', old: countA, new: countB });
      if (countA !== countB || a?.sum === undefined || b?.sum === undefined) continue;
      if (!isClose(a.sum, b.sum)) found.push({ ...where, what, measure: 'sum', old: a.sum, new: b.sum });
    }
  }
  return found;
}

function isClose(a: number, b: number): boolean {
  if (Object.is(a, b) || a === b) return true;
  return Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b));
}

function number(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  // Trino writes Infinity and NaN, DuckDB inf and nan.
  return Number(text.replace(/^(-?)inf(inity)?$/i, '$1Infinity'));
}
