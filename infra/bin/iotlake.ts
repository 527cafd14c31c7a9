/** Synthesizes the stack of one environment, and that of its dashboards if there is a user to own them. */
import { App } from 'aws-cdk-lib';

import { DashboardsStack } from '../lib/dashboards-stack';
import { IotlakeStack } from '../lib/iotlake-stack';
import { zipsIn } from '../lib/lambda-code';
import { readSettings } from '../lib/settings';

const app = new App();
const settings = readSettings((name) => app.node.tryGetContext(name) as unknown);
const code = zipsIn(settings.lambdaDirectory);
const { lake } = new IotlakeStack(app, `iotlake-${settings.environment}`, { settings, code });
if (settings.quickSightAdminUserName !== '') {
  new DashboardsStack(app, `iotlake-dashboards-${settings.environment}`, { settings, lake });
}
