/**
 * The forms for CloudFormation's console: what differs between deployments is a parameter, and the zips lie in a bucket.
 * Deploying them needs no toolchain, no bootstrap, no file beside them.
 *
 * There are two, as there are two stacks: the environment, and the dashboards over it, which find it by its name. The
 * commands find a stack by its name too, `iotlake-` and the environment, so that is what it has to be called.
 */
import { App, BootstraplessSynthesizer, CfnParameter, Fn, type Stack } from 'aws-cdk-lib';

import { DashboardsStack } from './dashboards-stack';
import { exportsOf, IotlakeStack } from './iotlake-stack';
import { zipsInBucket } from './lambda-code';
import { readSettings, type Settings } from './settings';

/** A parameter by its name: the stack is filled before the parameter itself can be added to it. */
const parameter = (name: string): string => Fn.ref(name);

type More = { default?: string; allowedPattern?: string; allowedValues?: string[] };

const add = (stack: Stack, name: string, description: string, more: More): void => {
  new CfnParameter(stack, name, { type: 'String', description, ...more });
};

const ENVIRONMENT = {
  default: 'int',
  // CloudFormation's expressions are Java's. Cognito takes no domain with one of these words.
  allowedPattern: '(?!.*(aws|amazon|cognito))[a-z][a-z0-9]{0,15}',
};

const settingsOf = (app: App): Settings => ({
  ...readSettings((name) => app.node.tryGetContext(name) as unknown),
  environment: parameter('environment'),
});

/** Adds the stack of an environment to an application whose context has the settings that are no parameters. */
export function releaseStack(app: App): IotlakeStack {
  const settings = {
    ...settingsOf(app),
    contactEmail: parameter('contactEmail'),
    rootMqttTopic: parameter('rootMqttTopic'),
    // Nobody said what the environment is for: what holds data is kept.
    keepData: true,
    sitewise: true,
  };
  const stack = new IotlakeStack(app, 'iotlake', {
    settings,
    code: zipsInBucket(parameter('codeBucket'), parameter('codePrefix')),
    synthesizer: new BootstraplessSynthesizer(),
    exportsByEnvironment: true,
    sitewiseIf: parameter('sitewise'),
    description: 'iotlake: an environment. Name the stack iotlake- and the environment, such as iotlake-int',
  });
  add(
    stack,
    'environment',
    'Marks every name: up to 16 of a-z and 0-9; the stack is called iotlake- and this',
    ENVIRONMENT,
  );
  add(stack, 'contactEmail', 'Gets alarms, and the word where the access lies', {
    allowedPattern: '[^@\\s]+@[^@\\s]+',
  });
  add(stack, 'rootMqttTopic', 'The messages that are taken', {
    default: 'data/#',
    allowedPattern: '(([+]|[^/#+*?${}\\\\"\']+)/)*#',
  });
  add(stack, 'sitewise', 'Whether values also go to AWS IoT SiteWise, live', {
    default: 'false',
    allowedValues: ['true', 'false'],
  });
  add(stack, 'codeBucket', 'A bucket of this region with the two zips of the release', {});
  add(stack, 'codePrefix', 'Where in it they are: empty, or a folder and a slash', { default: '' });
  return stack;
}

/** Adds the stack of dashboards, for an environment that was deployed with the other form. */
export function releaseDashboards(app: App): DashboardsStack {
  const settings = {
    ...settingsOf(app),
    quickSightAdminUserName: parameter('quickSightAdminUserName'),
    quickSightAdminUserRegion: parameter('quickSightAdminUserRegion'),
  };
  const names = exportsOf(settings.environment);
  const stack = new DashboardsStack(app, 'iotlake-dashboards', {
    settings,
    lake: {
      lakeArn: Fn.importValue(names.lake),
      resultsArn: Fn.importValue(names.results),
      databaseName: `iotlake_${settings.environment}`,
      workgroupName: `iotlake-${settings.environment}`,
    },
    synthesizer: new BootstraplessSynthesizer(),
    description: 'iotlake: dashboards. Name the stack iotlake-dashboards- and the environment',
  });
  add(stack, 'environment', 'That of the stack whose lake is shown', ENVIRONMENT);
  add(stack, 'quickSightAdminUserName', 'A user of QuickSight, as its list of users shows the name', {
    allowedPattern: '[^\\s:*?]{1,256}',
  });
  add(stack, 'quickSightAdminUserRegion', "The region of QuickSight's identities", {
    default: 'us-east-1',
    allowedPattern: '[a-z]{2}(-[a-z]+)+-[0-9]',
  });
  return stack;
}
