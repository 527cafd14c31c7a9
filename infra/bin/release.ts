/** Synthesizes the forms for CloudFormation's console. */
import { App } from 'aws-cdk-lib';

import { releaseDashboards, releaseStack } from '../lib/release';

const app = new App();
releaseStack(app);
releaseDashboards(app);
