/** What a deployment was told stays at the next one, until something else is said. */
import { CloudFormationClient, CreateStackCommand, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { App, BootstraplessSynthesizer, CfnResource, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';

import { remember, remembered } from '../../lib/remembered';
import { environmentOf, readSettings, type Settings } from '../../lib/settings';
import { waitFor } from '../../scripts/waiting';
import { describeWithServer, start, type StandIn } from '../scripts/stand-in';

jest.setTimeout(90_000);

const settingsOf = (
  now: Record<string, string>,
  before: Record<string, string> = {},
  variables: Record<string, string> = {},
): Settings => readSettings((name) => now[name], variables, before);

test('what is not said now is as it was; what is said, and nothing behind it, is the default again', () => {
  const before = { contactEmail: 'ops@example.com', quickSightAdminUserName: 'jane', bufferSeconds: '300' };
  const kept = settingsOf({ bufferSeconds: '120' }, before);
  expect([kept.contactEmail, kept.quickSightAdminUserName, kept.bufferSeconds]).toEqual([
    'ops@example.com',
    'jane',
    120,
  ]);
  expect(kept.told).toEqual({ ...before, bufferSeconds: '120' });
  const changed = settingsOf({ contactEmail: '' }, before, { IOTLAKE_BUFFER_SECONDS: '' });
  expect([changed.contactEmail, changed.bufferSeconds]).toEqual(['', 60]);
  expect(changed.told).toEqual({ quickSightAdminUserName: 'jane' });
});

test('which environment it is, and where it is built, is no option of it', () => {
  expect(settingsOf({ environment: 'dev', lambdaDirectory: '/zips' }).told).toEqual({});
  expect(environmentOf(() => undefined, {})).toBe('int');
  expect(environmentOf(() => undefined, { IOTLAKE_ENVIRONMENT: 'dev' })).toBe('dev');
});

test('without credentials nobody is asked', async () => {
  expect(await remembered('iotlake-int', fail, {})).toEqual({});
});

function fail(line: string): void {
  throw new Error(line);
}

describeWithServer('a stack that is there', () => {
  let server: StandIn;
  const deployed = { CDK_DEFAULT_ACCOUNT: '123456789012', CDK_DEFAULT_REGION: 'eu-west-1' };
  beforeAll(async () => (server = await start()));
  afterAll(() => server.stop());

  async function deploy(StackName: string, told?: Record<string, string>): Promise<void> {
    const stack = new Stack(new App(), StackName, { synthesizer: new BootstraplessSynthesizer() });
    new CfnResource(stack, 'Topic', { type: 'AWS::SNS::Topic' });
    if (told !== undefined) remember(stack, told);
    const cloudFormation = new CloudFormationClient();
    const TemplateBody = JSON.stringify(Template.fromStack(stack).toJSON());
    await cloudFormation.send(new CreateStackCommand({ StackName, TemplateBody }));
    await waitFor({ every: 50, atMost: 30_000 }, async () => {
      const { Stacks } = await cloudFormation.send(new DescribeStacksCommand({ StackName }));
      return Stacks?.[0]?.StackStatus === 'CREATE_COMPLETE' ? true : undefined;
    });
  }

  test('tells what it was deployed with', async () => {
    const told = { contactEmail: 'ops@example.com', sitewise: 'true' };
    await deploy('iotlake-int', told);
    const said: string[] = [];
    expect(await remembered('iotlake-int', (line) => said.push(line), deployed)).toEqual(told);
    expect(said).toEqual([expect.stringContaining('contactEmail=ops@example.com sitewise=true')]);
  });

  test('that did not record it says so, and one that is not there is the first deployment', async () => {
    await deploy('iotlake-old');
    const said: string[] = [];
    const say = (line: string): void => void said.push(line);
    expect(await remembered('iotlake-old', say, deployed)).toEqual({});
    expect(await remembered('iotlake-none', say, deployed)).toEqual({});
    expect(said).toEqual([
      expect.stringMatching(/^iotlake-old is of a release that did not record/),
      expect.stringMatching(/^iotlake-none is not there yet/),
    ]);
  });

  test('that cannot be read fails the deployment', async () => {
    const url = process.env.AWS_ENDPOINT_URL;
    process.env.AWS_ENDPOINT_URL = 'http://127.0.0.1:1';
    try {
      await expect(remembered('iotlake-int', fail, deployed)).rejects.toThrow(/cannot be read .* AWS_PROFILE/s);
    } finally {
      process.env.AWS_ENDPOINT_URL = url;
    }
  });
});
