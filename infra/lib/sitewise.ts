/**
 * Live values in SiteWise: the models of the kit's devices, assets for those that are listed, and rules that write.
 *
 * In come messages; out come values of properties, a second after they were sent. Each measurement has a rule of its
 * own, since an action has no condition: one rule for all three would fail on every message that lacks one of them.
 * A device without an asset has no property of its alias; SiteWise refuses its values unless the account stores
 * streams without assets. Such refusals are no fault of the lake: they go to a log, and raise no alarm.
 */
import {
  aws_iam as iam,
  aws_iot as iot,
  aws_iotsitewise as sitewise,
  aws_logs as logs,
  RemovalPolicy,
  Stack,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';

import type { Settings } from './settings';
import { alias, MEASUREMENTS, modelName, MODELS, type Measurement, type ModelName } from './sitewise/models';
import { acknowledgeWildcard } from './wildcards';

export interface SiteWiseProps {
  readonly settings: Settings;
}

export class SiteWise extends Construct {
  /** The role with which the rules write. */
  readonly role: iam.Role;
  readonly root: sitewise.CfnAssetModel;
  readonly rules: iot.CfnTopicRule[];
  private readonly models: ReadonlyMap<ModelName, sitewise.CfnAssetModel>;

  constructor(scope: Construct, id: string, props: SiteWiseProps) {
    super(scope, id);
    const { settings } = props;
    const names = Object.keys(MODELS) as ModelName[];
    this.models = new Map(names.map((name) => [name, this.model(settings, name)]));
    this.root = new sitewise.CfnAssetModel(this, 'Root', {
      assetModelName: `iotlake-${settings.environment}`,
      assetModelExternalId: `iotlake-${settings.environment}`,
      assetModelDescription: 'All devices of the kit, by model',
      assetModelHierarchies: [...this.models].map(([name, model]) => ({
        name,
        logicalId: name,
        childAssetModelId: model.attrAssetModelId,
      })),
    });
    if (settings.sitewiseDevices.length > 0) this.addAssets(settings);

    const log = new logs.LogGroup(this, 'Refused', {
      retention: settings.logDays as logs.RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.role = this.ruleRole(log);
    this.rules = MEASUREMENTS.map((measurement) => this.rule(settings, measurement, log));
  }

  private model(settings: Settings, name: ModelName): sitewise.CfnAssetModel {
    const measurements = MEASUREMENTS.filter((measurement) =>
      (MODELS[name] as readonly string[]).includes(measurement.name),
    );
    return new sitewise.CfnAssetModel(this, name, {
      assetModelName: modelName(settings.environment, name),
      assetModelExternalId: modelName(settings.environment, name),
      assetModelDescription: `Devices whose model id has ${name}`,
      assetModelProperties: [
        { name: 'DeviceId', logicalId: 'DeviceId', dataType: 'STRING', type: { typeName: 'Attribute' } },
        ...measurements.map(({ name: property, dataType, unit }) => ({
          name: property,
          logicalId: property,
          dataType,
          ...(unit === undefined ? {} : { unit }),
          type: { typeName: 'Measurement' },
        })),
      ],
    });
  }

  /** An asset for each listed device, named by its id, below one asset of the root model. */
  private addAssets(settings: Settings): void {
    const children = settings.sitewiseDevices.map(({ model, deviceId }) => {
      const asset = new sitewise.CfnAsset(this, `Asset-${deviceId}`, {
        assetName: deviceId,
        assetModelId: this.models.get(model)!.attrAssetModelId,
        assetProperties: MODELS[model].map((name) => ({ logicalId: name, alias: alias(deviceId, name) })),
      });
      return { logicalId: model, childAssetId: asset.attrAssetId };
    });
    new sitewise.CfnAsset(this, 'Devices', {
      assetName: `iotlake-${settings.environment}`,
      assetModelId: this.root.attrAssetModelId,
      assetHierarchies: children,
    });
  }

  private ruleRole(log: logs.LogGroup): iam.Role {
    const stack = Stack.of(this);
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('iot.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': stack.account } },
      }),
    });
    const resources = ['asset', 'time-series'].map((resource) =>
      stack.formatArn({ service: 'iotsitewise', resource, resourceName: '*' }),
    );
    role.addToPolicy(new iam.PolicyStatement({ actions: ['iotsitewise:BatchPutAssetPropertyValue'], resources }));
    for (const arn of resources) {
      acknowledgeWildcard(role, arn, 'Assets get their ids when devices are added, later than this role');
    }
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents'],
        resources: [log.logGroupArn],
      }),
    );
    return role;
  }

  private rule(settings: Settings, measurement: Measurement, log: logs.LogGroup): iot.CfnTopicRule {
    const { name, path, dataType } = measurement;
    const value = `\${${path}}`;
    const rule = new iot.CfnTopicRule(this, `Live${name}`, {
      // Names of rules have no hyphens.
      ruleName: `iotlake_${settings.environment}_live_${name.toLowerCase()}`,
      topicRulePayload: {
        description: `${name} to SiteWise, from messages that have it`,
        awsIotSqlVersion: '2016-03-23',
        sql: `SELECT * FROM '${settings.rootMqttTopic}' WHERE ${present(measurement)}`,
        ruleDisabled: false,
        actions: [
          {
            iotSiteWise: {
              roleArn: this.role.roleArn,
              putAssetPropertyValueEntries: [
                {
                  propertyAlias: alias('${device.deviceId}', name),
                  propertyValues: [
                    {
                      timestamp: { timeInSeconds: '${floor(timestamp() / 1E3)}' },
                      quality: 'GOOD',
                      value: dataType === 'BOOLEAN' ? { booleanValue: value } : { doubleValue: value },
                    },
                  ],
                },
              ],
            },
          },
        ],
        errorAction: { cloudwatchLogs: { logGroupName: log.logGroupName, roleArn: this.role.roleArn } },
      },
    });
    // The policy is a resource of its own; without it the rule's first messages would be refused.
    rule.node.addDependency(this.role.node.findChild('DefaultPolicy'));
    return rule;
  }
}

/**
 * The condition that a message has a measurement that SiteWise can take. `abs` is Undefined for what is absent, null,
 * or text that is no number; text that is one passes, since the kit sends temperatures as text at times.
 */
function present({ path, dataType }: Measurement): string {
  const device = 'isUndefined(device.deviceId) = false';
  const value = dataType === 'BOOLEAN' ? `(${path} = true OR ${path} = false)` : `isUndefined(abs(${path})) = false`;
  return `${device} AND ${value}`;
}
