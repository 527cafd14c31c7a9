/**
 * What the data set is made of: the columns of the engine's view `<table>_rigado`, and five of its own.
 *
 * Names and types are those of the quickstart's data set, so that an analysis or template that was made on it finds
 * them here. The query reads today and yesterday only, as that one did, by the partition keys: Athena prunes all else.
 * All that is computed is computed in its SQL: QuickSight's own functions are not all there for a direct query.
 */

/** The types of QuickSight. */
export type ColumnType = 'STRING' | 'INTEGER' | 'DECIMAL' | 'BOOLEAN' | 'DATETIME';

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
}

const of = (type: ColumnType, names: string): Column[] => names.split(/\s+/).map((name) => ({ name, type }));

/** The columns of the view. */
export const VIEW_COLUMNS: readonly Column[] = [
  ...of(
    'STRING',
    `device.dtmi device.gatewayid device.deviceid device.capabilitymodelid measurements.lastchange measurements.interval
measurements.lastseen measurements.history measurements.launchcount measurements.alarms measurements.screentype
measurements.displayedpictureid measurements.version measurements.batterylevel.string measurements.temperature.string
measurements.rssi.string partition_0 year month day hour`,
  ),
  ...of(
    'INTEGER',
    `ts measurements.batterylevel.int measurements.temperature.int measurements.humidity.int measurements.rssi.int
measurements.count measurements.size measurements.cap measurements.temp measurements.maxnodes measurements.advinterval
measurements.txpower`,
  ),
  ...of(
    'DECIMAL',
    `measurements.batterylevel.double measurements.temperature.double measurements.humidity.double
measurements.accelerometeraverage.avgx measurements.accelerometeraverage.avgy measurements.accelerometeraverage.avgz
measurements.accel.x measurements.accel.y measurements.accel.z`,
  ),
  ...of('BOOLEAN', 'measurements.occupied measurements.statechange'),
];

/** Text of the view that the quickstart's data set turns into a number. */
const AS_NUMBER = 'measurements.temperature.string';

const quoted = (name: string): string => `"${name}"`;
/** Text as a number. `NaN` and `Infinity` are numbers to a cast; one of them would be the average of its minute. */
const number = (text: string): string => {
  const value = `TRY_CAST(${quoted(text)} AS double)`;
  return `CASE WHEN abs(${value}) <= 1.7976931348623157E308 THEN ${value} END`;
};
const wholeOr = (name: string): string => `${quoted(`${name}.double`)}, CAST(${quoted(`${name}.int`)} AS double)`;

/** The last millisecond of the year 9999: a time beyond it would fail the whole query. */
const LAST = 253402300799999;

/** Columns beside the view's: when and what sent, and one clean number for each measurement that the dashboard draws. */
const OWN: readonly (Column & { readonly sql: string })[] = [
  {
    name: 'time',
    type: 'DATETIME',
    // QuickSight knows no times with a zone; Athena's are UTC.
    sql: `CASE WHEN "ts" BETWEEN 0 AND ${LAST} THEN CAST(from_unixtime(CAST("ts" / 1000 AS bigint)) AS timestamp) END`,
  },
  // `urn:rigado:S1_Sensor:2`: publisher, model, version.
  { name: 'model', type: 'STRING', sql: `split_part("device.capabilitymodelid", ':', 3)` },
  {
    name: 'temperature',
    type: 'DECIMAL',
    sql: `COALESCE(${wholeOr('measurements.temperature')}, ${number(AS_NUMBER)})`,
  },
  { name: 'humidity', type: 'DECIMAL', sql: `COALESCE(${wholeOr('measurements.humidity')})` },
  // An average of it is the share of the minute in which somebody was there.
  {
    name: 'occupancy',
    type: 'DECIMAL',
    sql: 'CASE WHEN "measurements.occupied" THEN 1.0E0 WHEN NOT "measurements.occupied" THEN 0.0E0 END',
  },
];

/** The columns of the data set's query. */
export const QUERY_COLUMNS: readonly Column[] = [
  // A cast by QuickSight would drop the rows whose text is no number; the query's cast leaves them, with NULL.
  ...VIEW_COLUMNS.map((column) => (column.name === AS_NUMBER ? { ...column, type: 'DECIMAL' as const } : column)),
  ...OWN.map(({ name, type }) => ({ name, type })),
];

/** The name of the engine's view on a table. */
export function viewOf(table: string): string {
  return `${table}_rigado`;
}

/** The query of the data set, in Athena's SQL. */
export function query(database: string, table: string): string {
  const columns = [
    ...VIEW_COLUMNS.map(({ name }) => (name === AS_NUMBER ? `${number(name)} AS ${quoted(name)}` : quoted(name))),
    ...OWN.map(({ name, sql }) => `${sql} AS ${quoted(name)}`),
  ];
  const dayOf = (time: string): string =>
    `("year" = date_format(${time}, '%Y') AND "month" = date_format(${time}, '%m') AND "day" = date_format(${time}, '%d'))`;
  return `SELECT
  ${columns.join(',\n  ')}
FROM "${database}"."${viewOf(table)}"
WHERE ${dayOf('now()')}
  OR ${dayOf("now() - INTERVAL '1' DAY")}`;
}
