/**
 * What has to be called while a stack is deployed: a small function whose code stands in the template, so that the
 * template deploys without any file beside it, and the custom resource that calls it.
 *
 * What must stay true: CloudFormation calls again only when a property changes, so that among them is what identifies
 * the code that is called: ours here, and whatever it calls in turn.
 */
import { createHash } from 'node:crypto';
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
import { buildSync } from 'esbuild';

import type { Settings } from './settings';

/** How long a call may take. */
const TIMEOUT = Duration.minutes(3);

export interface AtDeploymentProps {
  readonly settings: Settings;
  /** The file in `at-deployment/`, without its ending. */
  readonly script: string;
  readonly statements: iam.PolicyStatement[];
  readonly properties: Record<string, string>;
}

export class AtDeployment extends Construct {
  readonly resource: CustomResource;
  readonly function: lambda.Function;

  constructor(scope: Construct, id: string, props: AtDeploymentProps) {
    super(scope, id);
    const code = bundled(props.script);
    const log = new logs.LogGroup(this, 'Log', {
      retention: props.settings.logDays as logs.RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new iam.Role(this, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
    for (const statement of props.statements) role.addToPolicy(statement);
    log.grantWrite(role);
    this.function = new lambda.Function(this, 'Function', {
      runtime: lambda.Runtime.NODEJS_24_X,
      handler: 'index.handler',
      code: lambda.Code.fromInline(code),
      role: role.withoutPolicyUpdates(),
      timeout: TIMEOUT,
      logGroup: log,
    });
    this.function.node.addDependency(role.node.findChild('DefaultPolicy'));
    this.resource = new CustomResource(this, 'Call', {
      serviceToken: this.function.functionArn,
      resourceType: 'Custom::IotlakeAtDeployment',
      // A function that cannot answer would be waited for an hour otherwise.
      serviceTimeout: Duration.seconds(2 * TIMEOUT.toSeconds()),
      properties: { ...props.properties, Script: createHash('sha256').update(code).digest('hex').slice(0, 16) },
    });
  }
}

/** What was bundled in this process: it takes a tenth of a second, and is the same each time. */
const made = new Map<string, string>();

/** A script as one file of JavaScript; the runtime brings AWS's clients with it. */
export function bundled(script: string): string {
  const before = made.get(script);
  if (before !== undefined) return before;
  const { outputFiles } = buildSync({
    entryPoints: [path.join(__dirname, 'at-deployment', `${script}.ts`)],
    bundle: true,
    platform: 'node',
    target: 'node22',
    format: 'cjs',
    external: ['@aws-sdk/*'],
    legalComments: 'none',
    minify: true,
    write: false,
  });
  const text = outputFiles[0]?.text ?? '';
  made.set(script, text);
  return text;
}
