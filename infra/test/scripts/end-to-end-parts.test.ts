/** What the end-to-end command asks and where it publishes, and that it waits for a policy to be in force. */
import { since } from '../../scripts/end-to-end/hours';
import { topicUnder } from '../../scripts/end-to-end/run';

test.each([
  ['data/#', 'data/test'],
  ['plant/+/data/#', 'plant/test/data/test'],
  ['#', 'test'],
])('a message for %s goes to %s', (filter, topic) => {
  expect(topicUnder(filter)).toBe(topic);
});

test('Athena is asked for the hours in which the row can be, and no others', () => {
  const at = (text: string): Date => new Date(text);
  const hour = (year: number, month: string, day: string, of: string): string =>
    `("year" = '${year}' AND "month" = '${month}' AND "day" = '${day}' AND "hour" = '${of}')`;
  expect(since(at('2026-12-31T23:59:59Z'), at('2027-01-01T00:00:01Z'))).toBe(
    `(${[hour(2026, '12', '31', '22'), hour(2026, '12', '31', '23'), hour(2027, '01', '01', '00')].join(' OR ')})`,
  );
  expect(since(at('2026-03-01T08:00:00Z'), at('2026-03-01T08:10:00Z')).match(/hour/g)).toHaveLength(2);
});
