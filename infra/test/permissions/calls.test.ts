/**
 * Every call is allowed by the role that makes it, as a simulator of IAM reads the synthesized policies; and every
 * permission has a call that needs it, or a reason.
 */
import { runSimulation } from '@cloud-copilot/iam-simulate';
import * as fs from 'node:fs';
import * as path from 'node:path';

import { App } from 'aws-cdk-lib';
import { Template as Synthesized } from 'aws-cdk-lib/assertions';

import { DashboardsStack } from '../../lib/dashboards-stack';
import { IotlakeStack } from '../../lib/iotlake-stack';
import { zipsInBucket } from '../../lib/lambda-code';
import { readPipelineSettings } from '../../lib/pipeline-settings';
import { PipelineStack } from '../../lib/pipeline-stack';
import { readSettings } from '../../lib/settings';
import { list, text, Template, type Value } from '../../rules/template';
import { CALLS, KEPT, NOT_DEPLOYED } from './calls';
import { ACCOUNT, arnNamed, concrete, REGION } from './concrete';

jest.setTimeout(120_000);

const repository = path.join(__dirname, '..', '..', '..');
const plain = (id: string): string => id.replace(/[0-9A-F]{8}$/, '');

interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: Value;
}

function templates(): Template[] {
  const told: Record<string, string> = {
    contactEmail: 'contact@example.com',
    republish: 'true',
    iotLogging: 'true',
    sitewise: 'true',
    quickSightAdminUserName: 'Admin/jane@example.com',
    connectionArn: `arn:aws:codeconnections:${REGION}:${ACCOUNT}:connection/0a1b2c3d-0000-4000-8000-000000000000`,
    owner: 'acme',
  };
  const settings = readSettings((name) => told[name], {});
  const app = new App();
  const env = { account: ACCOUNT, region: REGION };
  const core = new IotlakeStack(app, 'iotlake-int', { env, settings, code: zipsInBucket('code', '') });
  const dashboards = new DashboardsStack(app, 'iotlake-dashboards-int', { env, settings, lake: core.shared });
  const pipeline = new PipelineStack(app, 'iotlake-pipeline-int', {
    env,
    settings: readPipelineSettings((name) => told[name], 'int', {}),
  });
  return [core, dashboards, pipeline].map((each) => new Template(each.stackName, Synthesized.fromStack(each).toJSON()));
}

const all = templates();

/** The template that has a role, and the statements of the role's policies as they would be deployed. */
function roleOf(role: string): { template: Template; statements: Statement[] } {
  for (const template of all) {
    const found = template.of('AWS::IAM::Role').find(({ id }) => plain(id) === role);
    if (found === undefined) continue;
    const policies = template
      .of('AWS::IAM::Policy')
      .filter(({ properties }) => list(properties['Roles']).some((each) => template.target(each)?.id === found.id));
    const documents = policies.map(({ properties }) => concrete(template, properties['PolicyDocument']));
    const statements = documents.flatMap((each) => (each as unknown as { Statement: Statement[] }).Statement);
    return { template, statements };
  }
  throw new Error(`no template has a role ${role}`);
}

/**
 * The simulator knows keys with a part that anybody chooses, but finds none in which that part comes behind or has a
 * colon. Under another name, in the request and in the policy, they say the same.
 */
const standIns = (key: string): string =>
  /^(kms:EncryptionContext:|\w+:ResourceTag\/)/.test(key) ? `aws:PrincipalTag/${key.replace(/[:/]/g, '.')}` : key;

function renamed(value: Value): Value {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return (value as Value[]).map(renamed);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [standIns(key), renamed(each as Value)]));
}

const resourceOf = (template: Template, on: string): string =>
  on.replace(/^<(\w+)>/, (_, name: string) => arnNamed(template, name));

async function isAllowed(
  role: string,
  action: string,
  on: string,
  context: Record<string, string> = {},
): Promise<unknown> {
  const { template, statements } = roleOf(role);
  const answer = await runSimulation(
    {
      request: {
        principal: `arn:aws:iam::${ACCOUNT}:role/${role}`,
        action,
        resource: { resource: resourceOf(template, on), accountId: ACCOUNT },
        contextVariables: renamed(context) as Record<string, string>,
      },
      identityPolicies: [
        { name: role, policy: { Version: '2012-10-17', Statement: renamed(statements as unknown as Value) } },
      ],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      // A key is the account's: it trusts what policies of the account say.
      ...(action.startsWith('kms:') ? { resourcePolicy: KEY_POLICY } : {}),
    },
    {},
  );
  if (answer.resultType === 'error') return answer.errors;
  return answer.overallResult;
}

const KEY_POLICY = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: 'kms:*', Resource: '*' }],
};

const cases = Object.entries(CALLS).flatMap(([role, calls]) =>
  calls.flatMap(({ actions, on, context }) =>
    actions.flatMap((action) => on.map((resource) => [role, action, resource, context] as const)),
  ),
);

test.each(cases)('%s may %s on %s', async (role, action, on, context) => {
  expect(await isAllowed(role, action, on, context)).toBe('Allowed');
});

test.each([
  ['IngestRole', 's3:PutObject', '<RawDeliveryRaw>/2026/03/01/08/x', {}],
  ['IngestRole', 's3:DeleteObject', '<DataLake>/events/x.parquet', {}],
  ['IngestRole', 's3:DeleteObject', '<DataLake>/_iotlake/receipts/events/x.json', {}],
  ['IngestRole', 'glue:UpdateTable', 'arn:aws:glue:eu-west-1:111122223333:table/another/events', {}],
  ['OnboardingRole', 'kms:Decrypt', '<OnboardingKey>', { 'kms:EncryptionContext:purpose': 'another' }],
  ['OnboardingRole', 'iot:AttachPolicy', 'arn:aws:iot:eu-west-1:111122223333:thinggroup/all', {}],
  ['RawDeliveryRuleRole', 's3:PutObject', '<RawDeliveryRaw>/2026/03/01/08/x', {}],
  ['InitRole', 'lambda:InvokeFunction', '<OnboardingFunction>', {}],
])('and %s may not %s on %s', async (role, action, on, context) => {
  expect(await isAllowed(role, action, on, context)).toMatch(/Denied$/);
});

describe('every permission', () => {
  /** Of CDK's making, for artifacts, logs and actions of the pipeline. */
  const CDKS = ['s3:', 'logs:', 'codebuild:', 'codestar-connections:', 'codeconnections:'];
  const roles = all.flatMap((template) =>
    template.of('AWS::IAM::Role').map(({ id }) => [template.name, plain(id)] as const),
  );

  test('every role that is ours is in the table', () => {
    const ours = roles.filter(([stack]) => stack !== 'iotlake-pipeline-int').map(([, role]) => role);
    expect(ours.filter((role) => CALLS[role] === undefined)).toEqual([]);
    expect(Object.keys(CALLS).filter((role) => !roles.some(([, each]) => each === role))).toEqual([]);
  });

  test.each(Object.keys(CALLS))('of %s is needed by a call, or has a reason', (role) => {
    const stack = roles.find(([, each]) => each === role)?.[0];
    const given = roleOf(role).statements.flatMap(({ Action }) => list(Action).map(text));
    const needed = new Set((CALLS[role] ?? []).flatMap(({ actions }) => actions));
    const without = given.filter((action) => !needed.has(action) && KEPT[`${role} ${action}`] === undefined);
    const isCdks = (action: string): boolean =>
      stack === 'iotlake-pipeline-int' && CDKS.some((prefix) => action.startsWith(prefix));
    expect(without.filter((action) => !isCdks(action))).toEqual([]);
  });

  test('no reason is left for a permission that is gone or is used', () => {
    for (const key of Object.keys(KEPT)) {
      const [role = '', action = ''] = key.split(' ');
      expect(roleOf(role).statements.flatMap(({ Action }) => list(Action).map(text))).toContain(action);
      expect((CALLS[role] ?? []).flatMap(({ actions }) => actions)).not.toContain(action);
    }
  });
});

describe('every call in the sources', () => {
  const files = (folder: string, ending: string): string[] =>
    fs
      .readdirSync(path.join(repository, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith(ending) && !/(^|\/)tests?(\.rs|\/)/.test(file))
      .map((file) => path.join(repository, folder, file));
  const pascal = (name: string): string =>
    name.replace(/(^|_)([a-z])/g, (_, __, letter: string) => letter.toUpperCase());
  /** What an operation is called as an action, where that is not its own name. */
  const ACTIONS: Readonly<Record<string, string>> = {
    's3:HeadObject': 's3:GetObject',
    's3:ListObjectsV2': 's3:ListBucket',
    's3:CreateMultipartUpload': 's3:PutObject',
    's3:UploadPart': 's3:PutObject',
    's3:CompleteMultipartUpload': 's3:PutObject',
    'lambda:Invoke': 'lambda:InvokeFunction',
    'secretsmanager:GetSecretValue': 'secretsmanager:GetSecretValue',
  };
  const known = (role: string): Set<string> =>
    new Set([...(CALLS[role] ?? []).flatMap(({ actions }) => actions), ...Object.keys(NOT_DEPLOYED)]);

  test.each([
    ['IngestRole', 's3', 'etl/src/storage', 8],
    ['IngestRole', 'glue', 'etl/src/catalog', 6],
    ['OnboardingRole', 'iot', 'onboarding/src/iot', 20],
    ['OnboardingRole', 'dynamodb', 'onboarding/src/registry', 5],
    ['OnboardingRole', 'kms', 'onboarding/src/vault', 2],
  ])('%s: those of %s are in the table', (role, service, folder, least) => {
    const called = files(folder, '.rs').flatMap((file) => {
      const source = fs.readFileSync(file, 'utf8');
      // `self.client.get_table()`, `storage.uploads.upload_part()`; the call may be on the next line.
      return [...source.matchAll(/\b(?:client|uploads)\s*\.([a-z][a-z0-9_]+)\(\)/g)]
        .filter(([, name]) => name !== 'config')
        .map(([, name = '']) => `${service}:${pascal(name)}`);
    });
    const actions = [...new Set(called.map((name) => ACTIONS[name] ?? name))];
    expect(new Set(called).size).toBeGreaterThanOrEqual(least);
    expect(actions.filter((action) => !known(role).has(action))).toEqual([]);
  });

  test.each([
    ['InitRole', 'lib/at-deployment/init.ts'],
    ['AccessHandoverRole', 'lib/at-deployment/handover.ts'],
  ])('%s: those of %s are in the table', (role, file) => {
    const source = fs.readFileSync(path.join(repository, 'infra', file), 'utf8');
    const called = [...source.matchAll(/import \{([^}]*)\} from '@aws-sdk\/client-([a-z-]+)'/g)].flatMap(
      ([, names = '', client = '']) => {
        const service =
          { 'cognito-identity-provider': 'cognito-idp', 'secrets-manager': 'secretsmanager' }[client] ?? client;
        return [...names.matchAll(/(\w+)Command\b/g)].map(([, name]) => `${service}:${name}`);
      },
    );
    expect(called.length).toBeGreaterThan(0);
    const actions = called.map((name) => ACTIONS[name] ?? name);
    expect(actions.filter((action) => !known(role).has(action))).toEqual([]);
  });
});
