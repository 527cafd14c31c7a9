/** The templates, read by cfn-lint and checkov; what they pass over stands in `.cfnlintrc` and `.checkov.yaml`, with reasons. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';

import { DashboardsStack } from '../../lib/dashboards-stack';
import { IotlakeStack } from '../../lib/iotlake-stack';
import { zipsInBucket } from '../../lib/lambda-code';
import { releaseDashboards, releaseStack } from '../../lib/release';
import { readSettings } from '../../lib/settings';

const infra = path.join(__dirname, '..', '..');
const programs = path.join(infra, '..', '.venv-infra', 'bin');
const whereInstalled = fs.existsSync(path.join(programs, 'checkov')) ? test : test.skip;

/** What a program says of files; nothing where it finds nothing. */
function says(program: string, ...options: string[]): { said: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(path.join(programs, program), options, { encoding: 'utf8' });
  return { said: `${stdout}${stderr}`, status };
}

/** Most bytes of a template that CloudFormation reads from a bucket. */
const MOST_BYTES = 1_000_000;

jest.setTimeout(120_000);

const releaseTemplate = (): object => Template.fromStack(releaseStack(new App())).toJSON();

let folder: string;
beforeAll(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), 'iotlake-lint-'))));
afterAll(() => fs.rmSync(folder, { recursive: true }));

function written(name: string, template: object): string {
  const file = path.join(folder, `${name}.template.json`);
  fs.writeFileSync(file, JSON.stringify(template));
  expect(fs.statSync(file).size).toBeLessThan(MOST_BYTES);
  return file;
}

whereInstalled('cfn-lint and checkov (where `make infra` installed them) find nothing', () => {
  const every: Record<string, string> = {
    contactEmail: 'contact@example.com',
    machineClient: 'true',
    monthlyDollars: '50',
    quickSightAdminUserName: 'Admin/jane@example.com',
    republish: 'true',
    sampleOneIn: '10',
    sitewise: 'true',
    sitewiseDevices: 'RuuviTag=c0ffee000001',
  };
  const settings = readSettings((name) => every[name], {});
  const app = new App();
  const env = { account: '111122223333', region: 'eu-west-1' };
  const stack = new IotlakeStack(app, 'iotlake-int', { env, settings, code: zipsInBucket('code', '') });
  const dashboards = new DashboardsStack(app, 'iotlake-dashboards-int', { env, settings, lake: stack.shared });
  const files = [
    written('all', Template.fromStack(stack).toJSON()),
    written('dashboards', Template.fromStack(dashboards).toJSON()),
    written('release', releaseTemplate()),
    written('release-dashboards', Template.fromStack(releaseDashboards(new App())).toJSON()),
  ];
  expect(says('cfn-lint', '--config-file', path.join(infra, '.cfnlintrc'), ...files)).toEqual({ said: '', status: 0 });
  const asked = files.flatMap((file) => ['--file', file]);
  const checkov = says('checkov', '--config-file', path.join(infra, '.checkov.yaml'), '--skip-download', ...asked);
  expect(checkov).toEqual({
    said: expect.stringMatching(/Passed checks: \d{3}, Failed checks: 0, /) as string,
    status: 0,
  });
});

test('the form for the console asks for what differs, and needs no bootstrap', () => {
  const template = releaseTemplate() as { Parameters: Record<string, unknown>; Rules?: object };
  expect(Object.keys(template.Parameters).sort()).toEqual([
    'codeBucket',
    'codePrefix',
    'contactEmail',
    'environment',
    'rootMqttTopic',
    'sitewise',
  ]);
  expect(template.Rules).toBeUndefined();
  expect(JSON.stringify(template)).not.toMatch(/cdk-hnb659fds|AssetParameters/);
});
