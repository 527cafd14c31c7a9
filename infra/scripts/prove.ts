/**
 * `npm run prove`: what only an account can show of a deployment, shown in one command, with the evidence.
 *
 * It onboards a device and removes it, sets every alarm off and back, and ingests a handful of empty objects. What it
 * leaves is one row of a device `prove-...`, and receipts. With `--destroy` it also takes the environment away with all its
 * data, and deploys it again.
 */
import { Exit, main, type Options } from './arguments';
import { Aws } from './aws';
import { environmentOf } from './doctor/environment';
import { prove } from './prove/prove';
import { shown } from './prove/report';

const OPTIONS: Options = {
  environment: { required: true, meaning: 'the environment, such as int' },
  region: { meaning: 'the region of the stack; as the AWS CLI has it' },
  only: { meaning: 'claims to prove, separated by commas; all, if it is not given' },
  destroy: { flag: true, meaning: 'ALSO REMOVE THE ENVIRONMENT WITH ALL ITS DATA, and deploy it again' },
  json: { flag: true, meaning: 'print the report as JSON' },
};

const ABOUT = `Proves of a deployment what only an account can show, and prints a report with the evidence. The contact gets a mail of
each alarm, which says that it is a proof. Ends with 0 if nothing is refuted, with ${Exit.Findings} if something is.`;

main('prove', ABOUT, OPTIONS, async (parsed) => {
  const started = new Date();
  const environment = await environmentOf(new Aws(parsed.find('region')), parsed.get('environment'));
  const outcomes = await prove(environment, {
    only: (parsed.find('only') ?? '').split(',').filter((name) => name !== ''),
    destroys: parsed.has('destroy'),
    standIn: process.env.AWS_ENDPOINT_URL !== undefined,
    // What is going on, while the report waits for its end.
    say: (line) => console.error(line),
  });
  const { name, account, region } = environment;
  const json = { environment: name, account, region, started, ended: new Date(), claims: outcomes };
  console.log(parsed.has('json') ? JSON.stringify(json, undefined, 2) : shown(name, started, outcomes));
  return outcomes.some(({ state }) => state === 'refuted') ? Exit.Findings : Exit.Done;
});
