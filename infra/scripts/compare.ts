/**
 * `npm run compare`: does a day of the new lake say what the old one says?
 */
import { Exit, main, UsageError, type Options } from './arguments';
import { Aws } from './aws';
import { compare, type Report } from './compare/compare';
import type { Difference } from './compare/differences';
import { parseDay } from './compare/sql';

const OPTIONS: Options = {
  day: { required: true, meaning: 'the day, such as 2026-11-23 (UTC)' },
  'old-database': { required: true, meaning: "the quickstart's Glue database, its output glueDbName" },
  'old-table': { required: true, meaning: "the quickstart's table, its output athenaTableName" },
  'new-database': { required: true, meaning: "iotlake's Glue database" },
  'new-table': { fallback: 'events', meaning: "iotlake's table" },
  device: { fallback: 'device.deviceid', meaning: 'the column that tells devices apart' },
  ignore: { meaning: 'fields to leave out, separated by commas, since it is known why they differ' },
  workgroup: { fallback: 'primary', meaning: 'the Athena workgroup that asks; it must reach both lakes' },
  output: { meaning: 's3:// folder for answers, if the workgroup has none' },
  region: { meaning: 'the region; as the AWS CLI has it' },
  show: { fallback: '50', meaning: 'differences to print at most' },
  json: { flag: true, meaning: 'print everything as JSON' },
};

const ABOUT = `Compares rows, values and sums by hour and device. Ends with 0 if nothing differs, with ${Exit.Findings} if something does.`;

main('compare', ABOUT, OPTIONS, async (parsed) => {
  const day = parseDay(parsed.get('day'));
  if (day === undefined) throw new UsageError(`--day is \`${parsed.get('day')}\`: a day such as 2026-11-23 is due`);
  const device = parsed.get('device');
  const report = await compare(new Aws(parsed.find('region')), {
    old: { database: parsed.get('old-database'), table: parsed.get('old-table'), device },
    new: { database: parsed.get('new-database'), table: parsed.get('new-table'), device },
    day,
    ignored: parsed.find('ignore')?.split(',') ?? [],
    workgroup: { name: parsed.get('workgroup'), output: parsed.find('output') },
  });
  const limit = Number(parsed.get('show'));
  if (!Number.isInteger(limit) || limit < 0) throw new UsageError('--show is a whole number');
  console.log(parsed.has('json') ? JSON.stringify(report, undefined, 2) : text(report, limit));
  return report.differences.length === 0 ? Exit.Done : Exit.Findings;
});

function text(report: Report, limit: number): string {
  const lines = [
    `rows: old ${report.rows.old}, new ${report.rows.new}; ${report.groups} pairs of hour and device, ${report.fields} fields`,
  ];
  if (report.rejected) lines.push(`rejected by iotlake on that day, so in its table of rejects: ${report.rejected}`);
  if (report.onlyOld.length > 0) lines.push(`only in the old table: ${report.onlyOld.join(', ')}`);
  if (report.onlyNew.length > 0) lines.push(`only in the new table: ${report.onlyNew.join(', ')}`);
  if (report.differences.length === 0) return [...lines, 'no differences'].join('\n');
  lines.push(`${report.differences.length} differences:`, ...report.differences.slice(0, limit).map(line));
  const more = report.differences.length - limit;
  if (more > 0) lines.push(`  and ${more} more (--show, --json)`);
  return lines.join('\n');
}

function line({ hour, device, what, measure, old, new: now }: Difference): string {
  const measured = measure === 'rows' ? 'rows' : `${measure} of ${what}`;
  return `  hour ${hour}, device ${device === '' ? '(none)' : device}: ${measured}: old ${old}, new ${now}`;
}
