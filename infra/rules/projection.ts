/**
 * "If a projected partition does not exist in Amazon S3, Athena will still project the partition. [...] However, if too
 * many of your partitions are empty, performance can be slower compared to traditional AWS Glue partitions."
 * https://docs.aws.amazon.com/athena/latest/ug/partition-projection.html
 *
 * A query without a condition, such as a console's preview, asks S3 for every partition that can be projected, so that
 * they are few, or as many as have passed: a range of dates that ends with `NOW`.
 */
import type { Rule } from './rule';
import { at, list, text, type Value } from './template';

/** Most that a query may have to list, some seconds' work. */
const MOST = 5_000;

/** How many values a key can have; without end if nothing bounds them. */
function values(parameters: Value, key: string): number {
  const of = (name: string): string => text(at(parameters, `projection.${key}.${name}`) ?? '');
  const [from = '', to = ''] = of('range').split(',');
  switch (of('type')) {
    case 'enum':
      return of('values').split(',').length;
    case 'integer':
      return (Number(to) - Number(from)) / Number(of('interval') || 1) + 1;
    case 'date':
      return dates(from, to, of('interval.unit'));
    default:
      return Infinity;
  }
}

const HOURS: Readonly<Record<string, number>> = { HOUR: 1, DAY: 24, WEEK: 168, MONTH: 730, YEAR: 8766 };
const inHours = (unit: string): number => HOURS[unit.replace(/S$/, '')] ?? NaN;

function dates(from: string, to: string, unit: string): number {
  const [, count, of = ''] = /^\s*NOW\s*-\s*(\d+)\s*([A-Z]+)\s*$/.exec(from) ?? [];
  if (count === undefined || !/^\s*NOW\s*$/.test(to)) return Infinity;
  return (Number(count) * inHours(of)) / inHours(unit) + 1;
}

export const rule: Rule = {
  check(template) {
    return template.of('AWS::Glue::Table').flatMap(({ id, properties }) => {
      const parameters = at(properties, 'TableInput', 'Parameters');
      if (text(at(parameters, 'projection.enabled')) !== 'true') return [];
      const keys = list(at(properties, 'TableInput', 'PartitionKeys')).map((key) => text(at(key, 'Name')));
      const all = keys.map((key) => values(parameters, key)).reduce((product, each) => product * each, 1);
      return all <= MOST ? [] : [`${id} projects ${all} partitions, all of which a query without a condition lists`];
    });
  },
};
