/**
 * `npm run uninstall`: removes an environment, after it has shown what it would do.
 */
import { Exit, main, type Options } from './arguments';
import { Aws } from './aws';
import type { Remain } from './uninstall/remains';
import { plan, run, survey } from './uninstall/uninstall';

const OPTIONS: Options = {
  environment: { required: true, meaning: 'the environment, such as int' },
  region: { meaning: 'the region of the stack; as the AWS CLI has it' },
  'dashboards-region': { meaning: "the region of the dashboards' stack; as the stack" },
  'device-table': { meaning: 'a table of devices that is not in the stack, if there is one' },
  'delete-data': { flag: true, meaning: 'also what holds data: buckets with all versions, tables, logs, keys' },
  yes: { flag: true, meaning: 'do it; without this it is only shown what would be done' },
};

main(
  'uninstall',
  'Offboards devices, deletes the stacks of an environment, lists what remains.',
  OPTIONS,
  async (parsed) => {
    const region = parsed.find('region');
    const aws = new Aws(region);
    const dashboardsRegion = parsed.find('dashboards-region');
    const dashboards = dashboardsRegion === undefined ? aws : new Aws(dashboardsRegion);
    const table = parsed.find('device-table');
    const request = {
      environment: parsed.get('environment'),
      deletesData: parsed.has('delete-data'),
      tables: table === undefined ? [] : [table],
    };
    if (!parsed.has('yes')) {
      const lines = await plan(await survey(aws, dashboards, request), request);
      console.log(lines.length === 0 ? 'nothing to take away' : ['This would be done:', ...lines].join('\n'));
      console.log('\nNothing was changed. Run it with --yes to do it.');
      return Exit.Done;
    }
    const left = await run(aws, dashboards, request, (line) => console.log(line));
    console.log(left.length === 0 ? 'nothing remains' : ['still there:', ...left.map(shown)].join('\n'));
    return left.every(({ goesByItself }) => goesByItself) ? Exit.Done : Exit.Findings;
  },
);

function shown({ type, name, note }: Remain): string {
  return `  ${type} ${name}: ${note}`;
}
