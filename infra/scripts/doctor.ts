/**
 * `npm run doctor`: the way of a message from the device to the dashboard, what AWS says of each stage, and the first that
 * is broken. It changes nothing.
 */
import { Exit, main, type Options } from './arguments';
import { Aws } from './aws';
import { environmentOf } from './doctor/environment';
import { examine, shown } from './doctor/examine';

const OPTIONS: Options = {
  environment: { required: true, meaning: 'the environment, such as int' },
  region: { meaning: 'the region of the stack; as the AWS CLI has it' },
  json: { flag: true, meaning: 'print everything as JSON' },
};

const ABOUT = `Looks at every stage from the device to the dashboard, and names the first that is broken. Ends with 0 if none
is, with ${Exit.Findings} if one is, with ${Exit.Failed} if some could not be looked at. It changes nothing.`;

main('doctor', ABOUT, OPTIONS, async (parsed) => {
  const environment = await environmentOf(new Aws(parsed.find('region')), parsed.get('environment'));
  const examination = await examine(environment);
  console.log(parsed.has('json') ? JSON.stringify(examination, undefined, 2) : shown(examination));
  if (examination.first !== undefined) return Exit.Findings;
  return examination.unseen.length > 0 ? Exit.Failed : Exit.Done;
});
