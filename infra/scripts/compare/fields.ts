/**
 * Which columns of two tables hold the same field.
 *
 * In come the columns of a table as Glue lists them; out come fields, each with all the columns that hold values of it.
 * The quickstart's job splits a field whose values have several types over `x.int`, `x.double`, `x.string`; iotlake
 * keeps `x` and, where a value has another kind, `x.string` and the like. In one row at most one of them is filled, so
 * that counts and sums of a field can be added up over its columns.
 */

/** A column as Glue lists it. */
export interface Column {
  readonly name: string;
  readonly type: string;
}

/** What can be told of a column's values beside how many there are. */
export type Sum = 'number' | 'boolean' | 'text' | 'none';

/** A field and the columns that hold its values. */
export interface Field {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly sum: Sum }[];
}

/** Glue's words for the types of a field that has several, and iotlake's. */
const KINDS = ['int', 'long', 'bigint', 'double', 'float', 'decimal', 'string', 'boolean', 'json', 'array', 'struct'];

/** Columns that are iotlake's own, or tell where a row lies. */
const NOT_DATA = new Set(['_source', '_record', '_overflow', 'partition_0', 'year', 'month', 'day', 'hour']);

/** Groups columns by field, sorted by name. */
export function fields(columns: readonly Column[]): Field[] {
  const found = new Map<string, { name: string; sum: Sum }[]>();
  for (const { name, type } of columns) {
    if (NOT_DATA.has(name)) continue;
    const field = fieldOf(name);
    found.set(field, [...(found.get(field) ?? []), { name, sum: sumOf(name, type) }]);
  }
  return [...found].map(([name, its]) => ({ name, columns: its })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The field of a column: its name without the kind behind it. */
export function fieldOf(name: string): string {
  const dot = name.lastIndexOf('.');
  return dot > 0 && KINDS.includes(name.slice(dot + 1)) ? name.slice(0, dot) : name;
}

function sumOf(name: string, type: string): Sum {
  if (/^(tinyint|smallint|int|integer|bigint|float|real|double|decimal)\b/.test(type)) return 'number';
  if (type === 'boolean') return 'boolean';
  return type === 'string' && !name.endsWith('.json') ? 'text' : 'none';
}
