/**
 * What has to be called while a stack is deployed: a small function whose code stands in the template, so that the
 * template deploys without any file beside it, and the custom resource that calls it.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import {
  aws_iam as iam,
  aws_lambda as lambda,
  aws_logs as logs,
  CustomResource,
  Duration,
  RemovalPolicy,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';

import type { Settings } from './settings';

export interface AtDeploymentProps {
  readonly settings: Settings;
  /** The file in `at-deployment/`. */
  readonly script: string;
  readonly statements: iam.PolicyStatement[];
  readonly properties: Record<string, string>;
}

export class AtDeployment extends Construct {
  readonly resource: CustomResource;
  readonly function: lambda.Function;

  constructor(scope: Construct, id: string, props: AtDeploymentProps) {
    super(scope, id);
    const log = new logs.LogGroup(this, 'Log', {
      retention: props.settings.logDays as logs.RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new iam.Role(this, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
    for (const statement of props.statements) role.addToPolicy(statement);
    log.grantWrite(role);
    this.function = new lambda.Function(this, 'Function', {
      runtime: lambda.Runtime.PYTHON_3_14,
      handler: 'index.handler',
      code: lambda.Code.fromInline(fs.readFileSync(path.join(__dirname, 'at-deployment', props.script), 'utf8')),
      role: role.withoutPolicyUpdates(),
      timeout: Duration.minutes(3),
      logGroup: log,
    });
    this.function.node.addDependency(role);
    this.resource = new CustomResource(this, 'Call', {
      serviceToken: this.function.functionArn,
      resourceType: 'Custom::IotlakeAtDeployment',
      properties: props.properties,
    });
  }
}
