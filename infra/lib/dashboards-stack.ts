/**
 * The dashboards' own stack: it can be deployed later, renewed or removed without touching the lake, and a user of
 * QuickSight that does not exist fails no deployment but this.
 */
import { CfnOutput, Stack, Tags, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

import { Dashboards, type DashboardsProps } from './dashboards';

export class DashboardsStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps & DashboardsProps) {
    super(scope, id, props);
    // Not of the stack itself, whose tags cannot be parameters.
    Tags.of(this).add('iotlake:environment', props.settings.environment, { excludeResourceTypes: ['aws:cdk:stack'] });
    const dashboards = new Dashboards(this, 'Dashboards', { settings: props.settings, lake: props.lake });
    new CfnOutput(this, 'dashboardUrl', {
      value: `https://${this.region}.quicksight.aws.amazon.com/sn/dashboards/${dashboards.dashboardId}`,
    });
  }
}
