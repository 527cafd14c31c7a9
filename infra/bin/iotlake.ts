/** Synthesizes the stack of one environment. */
import { App } from 'aws-cdk-lib';

import { IotlakeStack } from '../lib/iotlake-stack';
import { zipsIn } from '../lib/lambda-code';
import { readSettings } from '../lib/settings';

const app = new App();
const settings = readSettings((name) => app.node.tryGetContext(name) as unknown);
new IotlakeStack(app, `iotlake-${settings.environment}`, { settings, code: zipsIn(settings.lambdaDirectory) });
