/** SiteWise: whether models and rules are there, what the assets' properties last had, and which values were refused. */
import { GetTopicRuleCommand } from '@aws-sdk/client-iot';
import {
  DescribeAssetModelCommand,
  GetAssetPropertyValueCommand,
  ListAssetPropertiesCommand,
  ListAssetsCommand,
} from '@aws-sdk/client-iotsitewise';

import { unlessMissing } from '../../aws';
import type { Environment } from '../environment';
import { lastLine } from '../log';
import type { Look, Stage } from '../look';

/** Assets of a model that are looked at. */
const SAMPLE = 5;

export const sitewise: Stage = {
  name: 'SiteWise',
  async examine(environment, look) {
    const models = environment.all('AWS::IoTSiteWise::AssetModel');
    if (models.length === 0) return look.absent('it was not asked for');
    for (const ruleName of environment.all('AWS::IoT::TopicRule', 'SiteWiseLive')) {
      const found = await unlessMissing(environment.aws.iot.send(new GetTopicRuleCommand({ ruleName })).catch(unknown));
      if (found?.rule === undefined) look.broken(`the rule ${ruleName} is gone`, 'deploy again');
      else if (found.rule.ruleDisabled === true) {
        look.broken(`the rule ${ruleName} is disabled`, `aws iot enable-topic-rule --rule-name ${ruleName}`);
      }
    }
    let newest: Date | undefined;
    for (const assetModelId of models) newest = later(newest, await model(environment, look, assetModelId));
    look.fact('newest value', environment.ago(newest));
    const refused = environment.find('AWS::Logs::LogGroup', 'SiteWiseRefused');
    const line = refused === undefined ? undefined : await lastLine(environment, refused);
    if (line !== undefined) look.fact('last refused', `${environment.ago(line.time)}: ${line.text}`);
    if (newest !== undefined) return;
    if (line === undefined) return look.quiet('no value came yet');
    look.broken(
      'no property has a value, and SiteWise refuses what the rules write',
      'list the device in `sitewiseDevices` and deploy again: a device without an asset has no property of its alias',
    );
  },
};

/** Looks at a model; out comes when the newest value of some of its assets was. */
async function model(environment: Environment, look: Look, assetModelId: string): Promise<Date | undefined> {
  const { siteWise } = environment.aws;
  const described = await unlessMissing(siteWise.send(new DescribeAssetModelCommand({ assetModelId })));
  if (described === undefined) {
    look.broken(`the model ${assetModelId} is gone`, 'deploy again');
    return undefined;
  }
  const { state = '', error } = described.assetModelStatus ?? {};
  const { assetSummaries = [] } = await siteWise.send(new ListAssetsCommand({ assetModelId, maxResults: SAMPLE }));
  look.fact(described.assetModelName ?? assetModelId, `${state}, ${assetSummaries.length} assets`);
  if (state === 'FAILED') {
    look.broken(`the model ${described.assetModelName} is ${state}: ${error?.message ?? ''}`, 'deploy again');
  }
  let newest: Date | undefined;
  for (const { id: assetId = '' } of assetSummaries) {
    const { assetPropertySummaries = [] } = await siteWise.send(new ListAssetPropertiesCommand({ assetId }));
    for (const { alias } of assetPropertySummaries) {
      if (alias === undefined) continue;
      const asked = new GetAssetPropertyValueCommand({ propertyAlias: alias });
      const value = (await unlessMissing(siteWise.send(asked)))?.propertyValue;
      const seconds = value?.timestamp?.timeInSeconds;
      if (seconds !== undefined) newest = later(newest, new Date(seconds * 1_000));
    }
  }
  return newest;
}

function later(one: Date | undefined, other: Date | undefined): Date | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one > other ? one : other;
}

/** A rule that is not there is refused as unauthorized. */
function unknown(error: Error): undefined {
  if (error.name === 'UnauthorizedException') return undefined;
  throw error;
}
