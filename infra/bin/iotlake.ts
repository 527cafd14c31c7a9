/** Synthesizes the stack of one environment, and that of its dashboards if there is a user to own them. */
import { App } from 'aws-cdk-lib';

import { DashboardsStack } from '../lib/dashboards-stack';
import { IotlakeStack } from '../lib/iotlake-stack';
import { zipsIn } from '../lib/lambda-code';
import { remember, remembered } from '../lib/remembered';
import { environmentOf, readSettings } from '../lib/settings';

async function main(): Promise<void> {
  const app = new App();
  const context = (name: string): unknown => app.node.tryGetContext(name) as unknown;
  const before = await remembered(`iotlake-${environmentOf(context)}`, (line) => console.error(line));
  const settings = readSettings(context, process.env, before);
  const code = zipsIn(settings.lambdaDirectory);
  const core = new IotlakeStack(app, `iotlake-${settings.environment}`, { settings, code });
  remember(core, settings.told);
  if (settings.quickSightAdminUserName !== '') {
    new DashboardsStack(app, `iotlake-dashboards-${settings.environment}`, { settings, lake: core.shared });
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
