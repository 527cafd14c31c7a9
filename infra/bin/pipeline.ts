/** Synthesizes the pipeline that deploys one environment: `npm run pipeline -- -c connectionArn=… -c owner=…`. */
import { App } from 'aws-cdk-lib';

import { readPipelineSettings } from '../lib/pipeline-settings';
import { PipelineStack } from '../lib/pipeline-stack';
import { readSettings } from '../lib/settings';

const app = new App();
const context = (name: string): unknown => app.node.tryGetContext(name) as unknown;
// Checked here too, so that a mistake is told before the first run and not by it.
const { environment } = readSettings(context);
new PipelineStack(app, `iotlake-pipeline-${environment}`, { settings: readPipelineSettings(context, environment) });
