/** Synthesizes the form for CloudFormation's console. */
import { App } from 'aws-cdk-lib';

import { releaseStack } from '../lib/release';

releaseStack(new App());
