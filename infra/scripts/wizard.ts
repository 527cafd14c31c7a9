/**
 * `npm run wizard`: the four values that the kit's wizard asks for, labelled as it labels them.
 *
 * The refresh token is a secret: it goes to standard output and nowhere else.
 */
import { Exit, main, type Options } from './arguments';
import { Aws } from './aws';
import { configuration, output, stackOf } from './deployed';
import { wizardValues } from './wizard/values';

const OPTIONS: Options = {
  environment: { required: true, meaning: 'the environment, such as int' },
  region: { meaning: 'the region of the stack; as the AWS CLI has it' },
};

main('wizard', "Prints what the kit's wizard asks for. The refresh token is a secret.", OPTIONS, async (parsed) => {
  const aws = new Aws(parsed.find('region'));
  const stack = await stackOf(aws, parsed.get('environment'));
  const values = wizardValues((key) => output(stack, key), await configuration(aws, stack));
  for (const [label, value] of values) console.log(`${`${label}:`.padEnd(17)}${value}`);
  return Exit.Done;
});
