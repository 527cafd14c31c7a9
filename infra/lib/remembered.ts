/**
 * What the last deployment of an environment was told: a template carries it in its metadata, and the next deployment
 * asks CloudFormation for it. So an option that is forgotten takes nothing away.
 *
 * In comes the name of a stack; out come its options by name, none if there is no such stack. What must stay true: where
 * there are credentials the question has an answer, or the deployment fails; without any, nothing can be deployed
 * either, and a template is made of what is told alone.
 */
import { CloudFormationClient, GetTemplateCommand } from '@aws-sdk/client-cloudformation';
import type { Stack } from 'aws-cdk-lib';

/** Where a template's metadata has them. */
const KEY = 'iotlake:options';

/** Writes them into a stack's template. */
export function remember(stack: Stack, told: Readonly<Record<string, string>>): void {
  stack.templateOptions.metadata = { ...stack.templateOptions.metadata, [KEY]: told };
}

/** Reads them from a stack that is there. */
export async function remembered(
  stackName: string,
  say: (line: string) => void,
  variables: NodeJS.ProcessEnv = process.env,
): Promise<Record<string, string>> {
  // CDK's command line sets it if it has credentials.
  if (variables['CDK_DEFAULT_ACCOUNT'] === undefined) return {};
  const region = variables['CDK_DEFAULT_REGION'];
  const client = new CloudFormationClient(region === undefined ? {} : { region });
  let body: string | undefined;
  try {
    body = (await client.send(new GetTemplateCommand({ StackName: stackName }))).TemplateBody;
  } catch (error) {
    if (/does not exist/.test(String(error))) {
      say(`${stackName} is not there yet: its options are those of this deployment`);
      return {};
    }
    throw new Error(
      `what ${stackName} was deployed with cannot be read (${String(error)}): name a profile in AWS_PROFILE, not with ` +
        '--profile, and allow cloudformation:GetTemplate on the stack',
    );
  }
  const template = JSON.parse(body ?? '{}') as { Metadata?: Record<string, Record<string, string>> };
  const options = template.Metadata?.[KEY];
  if (options === undefined) {
    say(`${stackName} is of a release that did not record its options: name every option that is to stay, this once`);
    return {};
  }
  const shown = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  say(`${stackName} was deployed with ${shown.join(' ') || 'no options'}; what is not said now stays so`);
  return options;
}
