/**
 * The form for CloudFormation's console: what differs between deployments is a parameter, and the zips lie in a bucket.
 * Deploying it needs no toolchain, no bootstrap, no file beside it.
 */
import { App, BootstraplessSynthesizer, CfnParameter, Fn } from 'aws-cdk-lib';

import { IotlakeStack } from './iotlake-stack';
import { zipsInBucket } from './lambda-code';
import { readSettings } from './settings';

/** A parameter by its name: the stack is filled before the parameter itself can be added to it. */
const parameter = (name: string): string => Fn.ref(name);

/** Adds the stack to an application whose context has the settings that are no parameters. */
export function releaseStack(app: App): IotlakeStack {
  const settings = {
    ...readSettings((name) => app.node.tryGetContext(name) as unknown),
    environment: parameter('environment'),
    contactEmail: parameter('contactEmail'),
    rootMqttTopic: parameter('rootMqttTopic'),
    // Nobody said what the environment is for: what holds data is kept.
    keepData: true,
  };
  const stack = new IotlakeStack(app, 'iotlake', {
    settings,
    code: zipsInBucket(parameter('codeBucket'), parameter('codePrefix')),
    synthesizer: new BootstraplessSynthesizer(),
  });
  const add = (name: string, description: string, more: { default?: string; allowedPattern?: string }): void => {
    new CfnParameter(stack, name, { type: 'String', description, ...more });
  };
  add('environment', 'Marks every name: up to 16 of a-z and 0-9', {
    default: 'int',
    allowedPattern: '[a-z][a-z0-9]{0,15}',
  });
  add('contactEmail', 'Gets alarms, and the word where the access lies', { allowedPattern: '[^@\\s]+@[^@\\s]+' });
  add('rootMqttTopic', 'The messages that are taken', {
    default: 'data/#',
    allowedPattern: '(([+]|[^/#+*?${}\\\\"\']+)/)*#',
  });
  add('codeBucket', 'A bucket of this region with the two zips of the release', {});
  add('codePrefix', 'Where in it they are: empty, or a folder and a slash', { default: '' });
  return stack;
}
