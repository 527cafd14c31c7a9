/**
 * What QuickSight asks for a panel, as SQL over the data set's query: the same fields, grouped and aggregated as the panel
 * says, with the panel's filter.
 *
 * It is not QuickSight's own text, which nobody can see before it runs. What it has in common with it is what may fail:
 * columns, types, aggregates, the filter and the data set's SQL below.
 */

interface Column {
  readonly columnName: string;
}

/** A definition of QuickSight, as far as it is looked at. */
interface Definition {
  readonly sheets?: readonly { readonly visuals?: readonly object[] }[];
  readonly filterGroups?: readonly object[];
}

/** A panel and its question. */
export interface PanelQuery {
  readonly panel: string;
  readonly sql: string;
}

const quoted = (name: string): string => `"${name}"`;

/** The questions of all panels of a definition over a query. */
export function panelQueries(definition: object, dataSet: string): PanelQuery[] {
  const { sheets = [], filterGroups = [] } = definition as Definition;
  return sheets
    .flatMap(({ visuals = [] }) => visuals)
    .map((visual) => {
      const [inner] = Object.values(visual) as { visualId: string; chartConfiguration?: { fieldWells?: object } }[];
      const panel = inner?.visualId ?? '';
      const wells = inner?.chartConfiguration?.fieldWells ?? {};
      const where = filterGroups.flatMap((group) => condition(group, panel));
      return { panel, sql: question(wells, where, dataSet) };
    });
}

function question(wells: object, where: readonly string[], dataSet: string): string {
  const [groups, values] = [new Set<string>(), new Set<string>()];
  walk(wells, (key, part) => {
    const column = (part as { column?: Column }).column?.columnName;
    if (column === undefined) return;
    if (key === 'categoricalDimensionField') groups.add(quoted(column));
    else if (key === 'dateDimensionField') {
      const { dateGranularity = 'DAY' } = part as { dateGranularity?: string };
      groups.add(`date_trunc('${dateGranularity.toLowerCase()}', ${quoted(column)})`);
    } else if (key === 'numericalMeasureField') {
      const { aggregationFunction } = part as { aggregationFunction?: { simpleNumericalAggregation?: string } };
      values.add(aggregate(aggregationFunction?.simpleNumericalAggregation ?? 'SUM', column));
    } else if (key === 'dateMeasureField') {
      values.add(aggregate((part as { aggregationFunction?: string }).aggregationFunction ?? 'COUNT', column));
    } else groups.add(quoted(column));
  });
  const filter = where.length === 0 ? '' : `\nWHERE ${where.join(' AND ')}`;
  const grouped = values.size === 0 || groups.size === 0 ? '' : `\nGROUP BY ${[...groups].join(', ')}`;
  return `SELECT ${[...groups, ...values].join(', ')}\nFROM (${dataSet}) AS data_set${filter}${grouped}\nLIMIT 1000`;
}

const FUNCTIONS: Readonly<Record<string, string>> = {
  AVERAGE: 'avg',
  COUNT: 'count',
  MAX: 'max',
  MIN: 'min',
  SUM: 'sum',
};

function aggregate(name: string, column: string): string {
  const known = FUNCTIONS[name];
  if (known === undefined) throw new Error(`a panel aggregates by ${name}, which has no word in SQL here`);
  return `${known}(${quoted(column)})`;
}

/** The condition of a filter group, if it is for this panel. */
function condition(group: object, panel: string): string[] {
  const found: string[] = [];
  let isOurs = false;
  walk(group, (key, part) => {
    if (key === 'sheetVisualScopingConfigurations') {
      const { visualIds } = part as { visualIds?: readonly string[] };
      isOurs ||= visualIds === undefined || visualIds.includes(panel);
    }
    if (key !== 'categoryFilter') return;
    const { column, configuration } = part as {
      column?: Column;
      configuration?: { filterListConfiguration?: { categoryValues?: readonly string[] } };
    };
    const values = configuration?.filterListConfiguration?.categoryValues ?? [];
    // CONTAINS: a part of the text, in any case.
    const any = values.map((value) => `lower(${quoted(column?.columnName ?? '')}) LIKE '%${value.toLowerCase()}%'`);
    if (any.length > 0) found.push(`(${any.join(' OR ')})`);
  });
  return isOurs ? found : [];
}

/** Visits every object below, with the key that it stands under; those of a list have the list's. */
function walk(value: unknown, visit: (key: string, part: object) => void, key = ''): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const each of value) walk(each, visit, key);
    return;
  }
  visit(key, value);
  for (const [name, part] of Object.entries(value)) walk(part, visit, name);
}

/** Keys as the API writes them, in the form in which a template has them: the first letter small. */
export function asTemplate(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asTemplate);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, part]) => [
    name.charAt(0).toLowerCase() + name.slice(1),
    asTemplate(part),
  ]);
  return Object.fromEntries(entries) as object;
}
