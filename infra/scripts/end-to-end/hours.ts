/**
 * The partitions in which something that arrived between two moments can be, as a condition of Athena's: so that a
 * question that is asked again and again reads some hours and not the whole table.
 */

const HOUR = 3_600_000;

/** True for the hours from the one in which `start` is until the one in which `end` is, and the one before, UTC. */
export function since(start: Date, end: Date): string {
  const hours: string[] = [];
  // Firehose names an object by its oldest record.
  for (let hour = Math.floor(start.getTime() / HOUR) - 1; hour * HOUR <= end.getTime(); hour += 1) {
    const [, year, month, day, at] = /^(\d+)-(\d+)-(\d+)T(\d+)/.exec(new Date(hour * HOUR).toISOString()) ?? [];
    hours.push(`("year" = '${year}' AND "month" = '${month}' AND "day" = '${day}' AND "hour" = '${at}')`);
  }
  return `(${hours.join(' OR ')})`;
}
