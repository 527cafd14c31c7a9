/**
 * `npm run token`: a new refresh token for the wizard; all that there were before are refused from then on.
 */
import { Exit, main, type Options } from './arguments';
import { Aws } from './aws';
import { stackOf } from './deployed';
import { renew } from './token/renew';

const OPTIONS: Options = {
  environment: { required: true, meaning: 'the environment, such as int' },
  region: { meaning: 'the region of the stack; as the AWS CLI has it' },
  yes: { flag: true, meaning: 'do it; without it the command says what it would do' },
};

main(
  'token',
  'Revokes the refresh tokens of the API user and stores a new one. Wizards need the new one.',
  OPTIONS,
  async (parsed) => {
    const aws = new Aws(parsed.find('region'));
    await renew(aws, await stackOf(aws, parsed.get('environment')), parsed.has('yes'), (line) => console.log(line));
    return Exit.Done;
  },
);
