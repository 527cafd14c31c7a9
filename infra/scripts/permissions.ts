/**
 * Who may do what: every role of a template, whom it trusts, and what its policies allow, as a table in Markdown.
 *
 * `npm run permissions` writes it to PERMISSIONS.md; a test holds the file against the template.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { App, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';

import { DashboardsStack } from '../lib/dashboards-stack';
import { IotlakeStack } from '../lib/iotlake-stack';
import { zipsInBucket } from '../lib/lambda-code';
import { readPipelineSettings } from '../lib/pipeline-settings';
import { PipelineStack } from '../lib/pipeline-stack';
import { readSettings } from '../lib/settings';

export const FILE = path.join(__dirname, '..', 'PERMISSIONS.md');

interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: unknown;
  readonly Condition?: Record<string, Record<string, unknown>>;
}

const list = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);

/** The document: every option that makes a role is on. */
export function permissions(): string {
  const values: Record<string, string> = {
    contactEmail: 'contact@example.com',
    republish: 'true',
    iotLogging: 'true',
    sitewise: 'true',
    quickSightAdminUserName: 'Admin/jane@example.com',
  };
  const settings = readSettings((name) => values[name], {});
  const app = new App();
  const env = { account: '111122223333', region: 'eu-west-1' };
  const core = new IotlakeStack(app, 'iotlake-int', { env, settings, code: zipsInBucket('code', '') });
  const dashboards = new DashboardsStack(app, 'iotlake-dashboards-int', { env, settings, lake: core.shared });
  const connection = {
    connectionArn: `arn:aws:codeconnections:${env.region}:${env.account}:connection/00000000-0000-0000-0000-000000000000`,
    owner: 'owner',
  };
  const told = (name: string): unknown => connection[name as keyof typeof connection];
  const pipeline = new PipelineStack(app, 'iotlake-pipeline-int', {
    env,
    settings: readPipelineSettings(told, settings.environment, {}),
  });
  return [
    '# What each role may do',
    '',
    'Made from the templates by `npm run permissions`, with every option on that makes a role; a test fails where this is',
    'not what they say. Names in angle brackets are resources of the stack.',
    ...[core, dashboards, pipeline].flatMap((stack) => tables(stack)),
    '',
  ].join('\n');
}

function tables(stack: Stack): string[] {
  const template = Template.fromStack(stack);
  const policies = Object.values(template.findResources('AWS::IAM::Policy'));
  return Object.entries(template.findResources('AWS::IAM::Role')).flatMap(([id, role]) => {
    const properties = role['Properties'];
    const trusted = list<Statement & { Principal: { Service?: string; AWS?: unknown } }>(
      properties.AssumeRolePolicyDocument.Statement,
    ).map(({ Principal }) => text(Principal.Service ?? Principal.AWS));
    const managed = list<unknown>(properties.ManagedPolicyArns ?? []).map((arn) => `| ${text(arn)} | | |`);
    const statements = policies
      .filter((policy) => list<{ Ref?: string }>(policy['Properties'].Roles).some(({ Ref }) => Ref === id))
      .flatMap((policy) => list<Statement>(policy['Properties'].PolicyDocument.Statement));
    const rows = statements.map(({ Action, Resource, Condition }) => {
      const resources = list(Resource).map((resource) => `\`${text(resource)}\``);
      return `| ${list(Action).join(', ')} | ${resources.join(', ')} | ${conditions(Condition)} |`;
    });
    return [
      '',
      `## ${plain(id)} (${stack.stackName}), used by ${trusted.join(', ')}`,
      '',
      '| may | on | if |',
      '|---|---|---|',
      ...managed,
      ...rows,
    ];
  });
}

function conditions(of: Statement['Condition']): string {
  return Object.entries(of ?? {})
    .flatMap(([operator, keys]) => Object.entries(keys).map(([key, value]) => `${key} ${operator} ${text(value)}`))
    .join('; ');
}

/** A resource's id without the digest that CDK puts behind it. */
const plain = (id: string): string => id.replace(/[0-9A-F]{8}$/, '');

/** A value of a template as one text. */
function text(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return value.map(text).join(', ');
  const [name, of] = Object.entries(value)[0] ?? [];
  if (name === 'Fn::Join') {
    const [separator, parts] = of as [string, unknown[]];
    return parts.map(text).join(separator);
  }
  if (name === 'Fn::GetAtt') return `<${plain((of as string[])[0] ?? '')}>`;
  if (name === 'Fn::ImportValue') return `<${plain(text(of).replace(/^.*ExportsOutput(Ref|FnGetAtt)/, ''))}>`;
  return `<${plain(String(of))}>`;
}

if (require.main === module) fs.writeFileSync(FILE, permissions());
