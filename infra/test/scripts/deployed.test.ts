/** What the wizard asks for, from a stack and its secret. */
import { CreateStackCommand, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';

import { Aws } from '../../scripts/aws';
import { configuration, output, stackOf } from '../../scripts/deployed';
import { waitFor } from '../../scripts/waiting';
import { wizardValues } from '../../scripts/wizard/values';
import { describeWithServer, start, type StandIn } from './stand-in';

jest.setTimeout(90_000);

const OUTPUTS = {
  tokenEnpoint: 'https://iot-onboarding-quickstart-123456789012-int.auth.eu-west-1.amazoncognito.com/oauth2/token',
  iotOnboardingApiUrl: 'https://abc123.execute-api.eu-west-1.amazonaws.com/',
  cognitoAppClientId: '1example23456789',
};

describeWithServer('wizard', () => {
  let server: StandIn;
  let aws: Aws;

  beforeAll(async () => {
    server = await start();
    aws = new Aws('eu-west-1');
    const secret = (SecretString: string): object => ({
      Type: 'AWS::SecretsManager::Secret',
      Properties: { SecretString },
    });
    const template = {
      Resources: {
        Other: secret('plain text'),
        Config: secret(JSON.stringify({ env: 'int', cognitoRefreshToken: 'refresh-me' })),
      },
      Outputs: Object.fromEntries(Object.entries(OUTPUTS).map(([key, Value]) => [key, { Value }])),
    };
    const StackName = 'iotlake-int';
    await aws.cloudFormation.send(new CreateStackCommand({ StackName, TemplateBody: JSON.stringify(template) }));
    await waitFor({ every: 50, atMost: 30_000 }, async () => {
      const { Stacks } = await aws.cloudFormation.send(new DescribeStacksCommand({ StackName }));
      return Stacks?.[0]?.StackStatus === 'CREATE_COMPLETE' ? true : undefined;
    });
  });

  afterAll(async () => server.stop());

  test('its four values, labelled as in its form', async () => {
    const stack = await stackOf(aws, 'int');
    expect(wizardValues((key) => output(stack, key), await configuration(aws, stack))).toEqual([
      ['Cognito URL', OUTPUTS.tokenEnpoint],
      ['API Gateway URL', OUTPUTS.iotOnboardingApiUrl],
      ['Client ID', OUTPUTS.cognitoAppClientId],
      ['Refresh Token', 'refresh-me'],
    ]);
  });

  test('an environment that is not there is named, and so is an output that is missing', async () => {
    await expect(stackOf(aws, 'prod')).rejects.toThrow('there is no stack iotlake-prod');
    const stack = await stackOf(aws, 'int');
    expect(() => output(stack, 'userPoolId')).toThrow('stack iotlake-int has no output userPoolId');
  });
});
