/**
 * What clients need to know: one API user that survives redeploys, and the quickstart's `infra-config` keys in a
 * secret. The contact is told where they are, never what they are.
 */
import {
  aws_iam as iam,
  aws_secretsmanager as secretsmanager,
  aws_sns as sns,
  RemovalPolicy,
  Stack,
  Validations,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';

import { AtDeployment } from './at-deployment';
import type { Onboarding } from './onboarding';
import type { Settings } from './settings';

export interface AccessHandoverProps {
  readonly settings: Settings;
  readonly onboarding: Onboarding;
  readonly databaseName: string;
  readonly topic: sns.ITopic;
  /** The role that SiteWise's action uses; empty without it. */
  readonly sitewiseRole?: string;
}

export class AccessHandover extends Construct {
  readonly secret: secretsmanager.Secret;
  readonly call: AtDeployment;

  constructor(scope: Construct, id: string, props: AccessHandoverProps) {
    super(scope, id);
    const { settings, onboarding, topic } = props;
    this.secret = new secretsmanager.Secret(this, 'Secret', {
      description: `What the wizard asks for, iotlake ${settings.environment}`,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    Validations.of(this.secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'What it holds is for the wizard, which a person sets up once; a new token would lock the wizard out',
    });
    const configuration = {
      env: settings.environment,
      onboardingApiEndpoint: onboarding.apiUrl,
      cognitoUserPoolId: onboarding.userPool.userPoolId,
      cognitoClientId: onboarding.client.userPoolClientId,
      tokenEnpoint: onboarding.tokenEndpoint,
      iotSitewiseRole: props.sitewiseRole ?? '',
      glueDbName: props.databaseName,
      athenaTableName: settings.table,
      region: Stack.of(this).region,
    };
    this.call = new AtDeployment(this, 'Handover', {
      settings,
      script: 'handover',
      statements: [
        new iam.PolicyStatement({
          actions: ['cognito-idp:AdminCreateUser', 'cognito-idp:AdminSetUserPassword', 'cognito-idp:AdminInitiateAuth'],
          resources: [onboarding.userPool.userPoolArn],
        }),
        new iam.PolicyStatement({
          actions: ['secretsmanager:GetSecretValue', 'secretsmanager:PutSecretValue'],
          resources: [this.secret.secretArn],
        }),
        new iam.PolicyStatement({ actions: ['sns:Publish'], resources: [topic.topicArn] }),
      ],
      properties: {
        SecretArn: this.secret.secretArn,
        TopicArn: topic.topicArn,
        Configuration: Stack.of(this).toJsonString(configuration),
      },
    });
  }
}
