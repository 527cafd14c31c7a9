/** What a reviewer of security would look at, and what nobody should change without being asked about it. */
import * as fs from 'node:fs';

import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';

import { IotlakeStack } from '../../lib/iotlake-stack';
import { zipsInBucket } from '../../lib/lambda-code';
import { readSettings } from '../../lib/settings';
import { FILE, permissions } from '../../scripts/permissions';
import { findings } from '../findings';

const build = (app: App, values: Record<string, string>): IotlakeStack => {
  const settings = readSettings((name) => values[name], {});
  return new IotlakeStack(app, `iotlake-${settings.environment}`, { settings, code: zipsInBucket('code', '') });
};

const ALL = { contactEmail: 'contact@example.com', republish: 'true', machineClient: 'true', monthlyDollars: '50' };

test('cdk-nag finds nothing that is not answered for in the code', () => {
  expect(findings((app) => void build(app, ALL))).toEqual([]);
  expect(findings((app) => void build(app, { environment: 'prod' }))).toEqual([]);
});

test('roles may do what PERMISSIONS.md says; `npm run permissions` writes it anew', () => {
  expect(permissions()).toBe(fs.readFileSync(FILE, 'utf8'));
});

test('no role may do everything of a service, and none is made of policies that AWS changes', () => {
  const template = Template.fromStack(build(new App(), ALL));
  for (const policy of Object.values(template.findResources('AWS::IAM::Policy'))) {
    for (const { Action, Effect } of policy['Properties'].PolicyDocument.Statement) {
      expect(Effect).toBe('Allow');
      for (const action of [Action].flat()) expect(action).toMatch(/^[a-z0-9-]+:[A-Za-z]+$/);
    }
  }
  for (const role of Object.values(template.findResources('AWS::IAM::Role'))) {
    expect(role['Properties'].ManagedPolicyArns).toBeUndefined();
  }
});

test('two environments have no name in common', () => {
  const names = ['int', 'prod'].map((environment) => {
    const stack = build(new App(), { ...ALL, environment });
    const { Resources, Outputs } = Template.fromStack(stack).toJSON() as Record<string, Record<string, object>>;
    const named: string[] = Object.values(Outputs ?? {}).flatMap((output) =>
      'Export' in output ? [JSON.stringify(output.Export)] : [],
    );
    const kinds = /^(?!Name$)(.*Name|Domain|Name)$/;
    for (const resource of Object.values(Resources ?? {})) {
      const { Type, Properties = {} } = resource as { Type: string; Properties?: Record<string, unknown> };
      for (const [key, value] of Object.entries(Properties)) {
        // Names that a resource refers to another by are references; what is left is chosen.
        if ((kinds.test(key) || key === 'Name') && typeof value === 'string') named.push(`${Type} ${key} ${value}`);
      }
    }
    return new Set(named);
  });
  const [int, prod] = names as [Set<string>, Set<string>];
  expect(int.size).toBeGreaterThan(8);
  // Names within something of the environment, names that need not be unique, and metrics.
  const free = [
    'AWS::ApiGatewayV2::Stage StageName',
    'AWS::ApiGatewayV2::Authorizer Name',
    'AWS::Athena::NamedQuery Name',
    'AWS::CloudWatch::Alarm MetricName',
    'AWS::Cognito::',
    'AWS::IAM::Policy PolicyName',
  ];
  expect([...int].filter((name) => prod.has(name) && !free.some((kind) => name.startsWith(kind)))).toEqual([]);
});

test('data outlives the stack in production, and nothing else does elsewhere', () => {
  const kept = (environment: string): string[] => {
    const resources = Template.fromStack(build(new App(), { environment })).toJSON().Resources as Record<
      string,
      { Type: string; DeletionPolicy?: string }
    >;
    return Object.values(resources)
      .filter(({ DeletionPolicy }) => DeletionPolicy?.startsWith('Retain'))
      .map(({ Type }) => Type)
      .sort();
  };
  expect(kept('int')).toEqual([]);
  expect(new Set(kept('prod'))).toEqual(
    new Set([
      'AWS::Cognito::UserPool',
      'AWS::DynamoDB::GlobalTable',
      'AWS::Glue::Database',
      'AWS::Glue::Table',
      'AWS::KMS::Key',
      'AWS::S3::Bucket',
    ]),
  );
});

test('the template is the one that was reviewed', () => {
  const template = Template.fromStack(build(new App(), ALL)).toJSON();
  interface Bundled {
    Properties?: { Code?: { ZipFile?: string }; Script?: string };
  }
  for (const { Properties } of Object.values(template.Resources) as Bundled[]) {
    // Tested by itself; a new version of the bundler is no change of the stack.
    if (Properties?.Code?.ZipFile !== undefined) Properties.Code.ZipFile = '…';
    if (Properties?.Script !== undefined) Properties.Script = '…';
  }
  expect(template).toMatchSnapshot();
});
