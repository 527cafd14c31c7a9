/** The pipeline as it is synthesized: its stages in order, and roles that can do no more than their stage needs. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';

import { readPipelineSettings } from '../../lib/pipeline-settings';
import { PipelineStack } from '../../lib/pipeline-stack';
import { findings } from '../findings';

const TOLD: Record<string, string> = {
  connectionArn: 'arn:aws:codeconnections:eu-west-1:111122223333:connection/0a1b2c3d-0000-4000-8000-000000000000',
  owner: 'acme',
};
const SHELL = { IOTLAKE_CONTACT_EMAIL: 'contact@example.com', IOTLAKE_SITEWISE: 'true', HOME: '/root' };

const build = (app: App): PipelineStack =>
  new PipelineStack(app, 'iotlake-pipeline-int', {
    settings: readPipelineSettings((name) => TOLD[name], 'int', SHELL),
  });
const template = Template.fromStack(build(new App()));

test('source, build with tests, deployment, trial', () => {
  const [pipeline] = Object.values(template.findResources('AWS::CodePipeline::Pipeline'));
  const { Stages, PipelineType } = pipeline?.['Properties'] as { Stages: { Name: string }[]; PipelineType: string };
  expect(PipelineType).toBe('V2');
  expect(Stages.map(({ Name }) => Name)).toEqual(['Source', 'Build', 'Deploy', 'EndToEnd']);
});

test('each command is one that the repository has', () => {
  const makefile = fs.readFileSync(path.join(__dirname, '..', '..', '..', 'Makefile'), 'utf8');
  const { scripts } = JSON.parse(fs.readFileSync(path.join(__dirname, '..', '..', 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const specs = Object.values(template.findResources('AWS::CodeBuild::Project')).map(
    (project) => JSON.parse(project['Properties'].Source.BuildSpec as string) as object,
  );
  const commands = specs.flatMap(
    (spec) => (spec as { phases: { build: { commands: string[] } } }).phases.build.commands,
  );
  const targets = commands.flatMap((command) => /^make (.*)$/.exec(command)?.[1]?.split(' ') ?? []);
  expect(targets).toEqual(['test', 'infra', 'deployed']);
  for (const target of targets) expect(makefile).toMatch(new RegExp(`^${target}:`, 'm'));
  const run = commands.flatMap((command) => /npm run ([\w-]+)/.exec(command)?.[1] ?? []);
  expect(run).toEqual(['end-to-end']);
  for (const script of run) expect(scripts).toHaveProperty([script]);
});

test('images are pulled from a registry that does not count, and what goes on is what is deployed', () => {
  for (const { Properties } of Object.values(template.findResources('AWS::CodeBuild::Project'))) {
    expect(Properties.Environment.Image).toMatch(/^public\.ecr\.aws\/docker\/library\/rust:/);
  }
  const [artifacts] = Object.values(template.findResources('AWS::CodeBuild::Project')).flatMap(({ Properties }) => {
    const spec = JSON.parse(Properties.Source.BuildSpec as string) as { artifacts?: object };
    return spec.artifacts === undefined ? [] : [spec.artifacts];
  });
  expect(artifacts).toEqual({
    files: ['infra/**/*', 'target/lambda/*.zip'],
    'exclude-paths': ['infra/node_modules/**/*', 'infra/cdk.out/**/*'],
  });
});

test('deployment and trial are told what the shell was told, and nothing else of it; tests are told nothing', () => {
  const told = Object.entries(template.findResources('AWS::CodeBuild::Project')).map(([id, project]) => {
    const variables = (project['Properties'].Environment.EnvironmentVariables ?? []) as Record<string, string>[];
    return [id.replace(/[0-9A-F]{8}$/, ''), Object.fromEntries(variables.map(({ Name, Value }) => [Name, Value]))];
  });
  const shell = {
    IOTLAKE_CONTACT_EMAIL: 'contact@example.com',
    IOTLAKE_SITEWISE: 'true',
    IOTLAKE_ENVIRONMENT: 'int',
  };
  expect(Object.fromEntries(told)).toEqual({ Build: {}, Deploy: shell, EndToEnd: shell });
});

test('the source may be fetched through a connection, under both names of the service', () => {
  template.hasResourceProperties('AWS::IAM::Policy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({ Action: 'codestar-connections:UseConnection', Resource: TOLD['connectionArn'] }),
        Match.objectLike({ Action: 'codeconnections:UseConnection', Resource: TOLD['connectionArn'] }),
      ]),
    },
  });
});

test("only the deployment takes on CDK's roles, only the trial reads the secret", () => {
  const having = (action: string): string[] =>
    Object.entries(
      template.findResources('AWS::IAM::Policy', {
        Properties: { PolicyDocument: { Statement: Match.arrayWith([Match.objectLike({ Action: action })]) } },
      }),
    ).map(([id]) => id.replace(/DefaultPolicy.*/, ''));
  const takesOn = Object.entries(template.findResources('AWS::IAM::Policy')).filter(([, { Properties }]) =>
    (Properties.PolicyDocument.Statement as { Action: string; Resource: unknown }[]).some(
      ({ Action, Resource }) => Action === 'sts:AssumeRole' && JSON.stringify(Resource).includes('role/cdk-'),
    ),
  );
  expect(takesOn.map(([id]) => id.replace(/DefaultPolicy.*/, ''))).toEqual(['DeployRole']);
  expect(having('secretsmanager:GetSecretValue')).toEqual(['EndToEndRole']);
});

test('cdk-nag finds nothing that is not answered for', () => {
  expect(findings((app) => void build(app))).toEqual([]);
});

test('wrong settings are told all at once', () => {
  const wrong: Record<string, string> = { connectionArn: 'arn', owner: '', branch: 'a b' };
  expect(() => readPipelineSettings((name) => wrong[name], 'int', {})).toThrow(/connectionArn.*owner.*branch/s);
});
