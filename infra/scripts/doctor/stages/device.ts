/**
 * Devices and how they get in: the client of the wizard, the function that onboards, the shared policy, and whether the
 * certificates that are on record are active and have it.
 */
import { DescribeUserPoolClientCommand } from '@aws-sdk/client-cognito-identity-provider';
import { ScanCommand } from '@aws-sdk/client-dynamodb';
import { DescribeCertificateCommand, GetPolicyCommand, ListAttachedPoliciesCommand } from '@aws-sdk/client-iot';
import { GetFunctionConfigurationCommand } from '@aws-sdk/client-lambda';

import { unlessMissing } from '../../aws';
import type { Environment } from '../environment';
import type { Look, Stage } from '../look';
import { counts } from '../metrics';

/** Devices whose certificates are looked at. */
const SAMPLE = 25;

export const device: Stage = {
  name: 'device',
  async examine(environment, look) {
    const policyName = environment.get('AWS::IoT::Policy');
    const policy = await unlessMissing(environment.aws.iot.send(new GetPolicyCommand({ policyName })));
    if (policy === undefined) {
      look.broken(
        `the policy of devices ${policyName} is gone`,
        'deploy again: it is made anew, devices keep it by name',
      );
    } else look.fact('policy', policyName);
    await wizardClient(environment, look);
    await service(environment, look);
    await certificates(environment, look, policyName);
    // Of all devices of the account: IoT Core counts no others.
    const names = ['Connect.Success', 'Connect.AuthError', 'PublishIn.Success', 'PublishIn.AuthError'];
    look.fact('last 24 h, whole account', await counts(environment, 'AWS/IoT', { Protocol: 'MQTT' }, names));
  },
};

async function wizardClient(environment: Environment, look: Look): Promise<void> {
  const asked = { UserPoolId: environment.output('userPoolId'), ClientId: environment.output('cognitoAppClientId') };
  const described = environment.aws.cognito.send(new DescribeUserPoolClientCommand(asked));
  const client = (await unlessMissing(described))?.UserPoolClient;
  if (client === undefined) {
    look.broken(`the wizard's client ${asked.ClientId} is gone`, 'deploy again, and give the wizard its new values');
  } else if (client.AllowedOAuthFlowsUserPoolClient !== true || client.AllowedOAuthFlows?.includes('code') !== true) {
    look.broken(
      `the wizard's client ${asked.ClientId} may not refresh at the token endpoint: OAuth, or its flow of codes, is off`,
      'deploy again: the template turns both on',
    );
  } else look.fact('client of the wizard', asked.ClientId);
}

async function service(environment: Environment, look: Look): Promise<void> {
  const FunctionName = environment.get('AWS::Lambda::Function', 'OnboardingFunction');
  const described = environment.aws.lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
  const found = await unlessMissing(described);
  if (found === undefined) return look.broken(`the function ${FunctionName} is gone`, 'deploy again');
  const metrics = await counts(environment, 'AWS/Lambda', { FunctionName }, ['Invocations', 'Errors', 'Throttles']);
  look.fact('onboarding', `${found.State ?? 'Active'}, ${metrics}`);
  if (found.State === 'Failed' || found.State === 'Inactive') {
    look.broken(`the function ${FunctionName} is ${found.State}: ${found.StateReason ?? ''}`, 'deploy again');
  }
}

async function certificates(environment: Environment, look: Look, policyName: string): Promise<void> {
  const { iot, dynamoDb } = environment.aws;
  const TableName = environment.get('AWS::DynamoDB::GlobalTable');
  const scanned = await unlessMissing(
    dynamoDb.send(
      new ScanCommand({
        TableName,
        Limit: SAMPLE,
        ProjectionExpression: 'serialNumber, certificateArn, certificateId',
      }),
    ),
  );
  if (scanned === undefined) {
    return look.broken(
      `the table of devices ${TableName} is gone`,
      'restore it to a point in time under this name, or deploy again and onboard the devices anew',
    );
  }
  const devices = scanned.Items ?? [];
  look.fact('on record', devices.length === SAMPLE ? `${SAMPLE} or more devices` : `${devices.length} devices`);
  if (devices.length === 0) look.quiet('no device was onboarded yet');
  for (const { serialNumber, certificateArn, certificateId } of devices) {
    const serial = serialNumber?.S ?? '';
    const target = certificateArn?.S ?? '';
    const id = certificateId?.S ?? target.split('/').at(-1) ?? '';
    if (id === '') continue;
    const described = await unlessMissing(iot.send(new DescribeCertificateCommand({ certificateId: id })));
    const status = described?.certificateDescription?.status;
    const anew = 'DELETE the device at the onboarding API and POST it again';
    if (status === undefined) look.broken(`the certificate of ${serial} is gone`, anew);
    else if (status !== 'ACTIVE') {
      look.broken(
        `the certificate of ${serial} is ${status}`,
        `aws iot update-certificate --certificate-id ${id} --new-status ACTIVE, if nobody revoked it on purpose`,
      );
    } else {
      const { policies = [] } = await iot.send(new ListAttachedPoliciesCommand({ target }));
      // A device that was taken over from the quickstart has a policy of its own.
      if (policies.length === 0) {
        look.broken(
          `the certificate of ${serial} has no policy`,
          `aws iot attach-policy --policy-name ${policyName} --target ${target}`,
        );
      }
    }
  }
}
