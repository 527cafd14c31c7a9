/** Every stack under every combination of settings that matters to what AWS refuses, as templates. */
import { App } from 'aws-cdk-lib';
import { Template as Synthesized } from 'aws-cdk-lib/assertions';

import { DashboardsStack } from '../../lib/dashboards-stack';
import { IotlakeStack } from '../../lib/iotlake-stack';
import { zipsInBucket } from '../../lib/lambda-code';
import { readPipelineSettings } from '../../lib/pipeline-settings';
import { PipelineStack } from '../../lib/pipeline-stack';
import { releaseDashboards, releaseStack } from '../../lib/release';
import { readSettings } from '../../lib/settings';
import { Template } from '../../rules/template';

/** Options that work together: all combinations of them are looked at. */
const TOGETHER: Readonly<Record<string, readonly string[]>> = {
  keepData: ['true', 'false'],
  quickSightImport: ['', 'DIRECT_QUERY', 'SPICE'],
  others: ['off', 'on'],
};

/** The others: none of them, all of them, and each by itself. */
const OTHERS: Readonly<Record<string, string>> = {
  sitewise: 'true',
  machineClient: 'true',
  contactEmail: 'contact@example.com',
  republish: 'true',
  iotLogging: 'true',
  topicScope: 'thing',
  credentialRetention: 'return-once',
};
/** What asks for one of them. */
const WITH_THEM: Readonly<Record<string, string>> = { monthlyDollars: '50', sitewiseDevices: 'RuuviTag=c0ffee000001' };

/** The templates of one stack, under all settings. */
export type Stacks = Readonly<
  Record<'core' | 'dashboards' | 'pipeline' | 'release' | 'release-dashboards', Template[]>
>;

const env = { account: '111122223333', region: 'eu-west-1' };

const template = (name: string, stack: Parameters<typeof Synthesized.fromStack>[0]): Template =>
  new Template(name, Synthesized.fromStack(stack).toJSON());

/** What each deployment is told. */
export function combinations(): Record<string, string>[] {
  const together = Object.entries(TOGETHER).reduce<Record<string, string>[]>(
    (all, [name, values]) => all.flatMap((each) => values.map((value) => ({ ...each, [name]: value }))),
    [{}],
  );
  const combined = together.map(({ others, ...each }) =>
    others === 'on' ? { ...each, ...OTHERS, ...WITH_THEM } : each,
  );
  return [...combined, ...Object.entries(OTHERS).map(([name, value]) => ({ [name]: value }))];
}

/** Synthesizes them all. */
export function everyTemplate(): Stacks {
  const stacks = { core: [], dashboards: [], pipeline: [], release: [], 'release-dashboards': [] } as Record<
    keyof Stacks,
    Template[]
  >;
  for (const told of combinations()) {
    if ((told['quickSightImport'] ?? '') !== '') told['quickSightAdminUserName'] = 'Admin/jane@example.com';
    const name = Object.entries(told)
      .map(([key, value]) => `${key}=${value}`)
      .join(' ');
    const settings = readSettings((key) => told[key], {});
    const app = new App();
    const core = new IotlakeStack(app, 'iotlake-int', { env, settings, code: zipsInBucket('code', 'v1/') });
    const over =
      settings.quickSightAdminUserName === ''
        ? undefined
        : new DashboardsStack(app, 'iotlake-dashboards-int', { env, settings, lake: core.shared });
    stacks.core.push(template(`iotlake-int (${name})`, core));
    if (over !== undefined) stacks.dashboards.push(template(`iotlake-dashboards-int (${name})`, over));
  }
  const connection = `arn:aws:codeconnections:${env.region}:${env.account}:connection/0a1b2c3d-0000-4000-8000-000000000000`;
  const pipelineTold: Record<string, string> = { connectionArn: connection, owner: 'acme' };
  const pipeline = readPipelineSettings((key) => pipelineTold[key], 'int', {});
  stacks.pipeline.push(
    template('pipeline', new PipelineStack(new App(), 'iotlake-pipeline-int', { settings: pipeline })),
  );
  stacks.release.push(template('the form', releaseStack(new App())));
  stacks['release-dashboards'].push(template('the form of dashboards', releaseDashboards(new App())));
  return stacks;
}
