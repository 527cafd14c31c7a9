/**
 * An asset of SiteWise for as long as a proof takes: made under the model of an S1 sensor with the alias that the rules
 * write to, looked at, and deleted.
 */
import {
  CreateAssetCommand,
  DeleteAssetCommand,
  DescribeAssetCommand,
  GetAssetPropertyValueCommand,
  UpdateAssetPropertyCommand,
  type AssetProperty,
} from '@aws-sdk/client-iotsitewise';

import { messageOf } from '../../arguments';
import { unlessMissing } from '../../aws';
import { waitFor } from '../../waiting';
import type { Context } from '../context';

const PROPERTY = 'Temperature';

export class TemporaryAsset {
  private constructor(
    private readonly context: Context,
    private readonly assetId: string,
    private readonly alias: string,
  ) {}

  /** Makes it; nothing, with the reason in the report, where there is no SiteWise or it cannot be made. */
  static async make(context: Context, deviceId: string): Promise<TemporaryAsset | undefined> {
    const { environment, report } = context;
    if (context.isLeftOut('sitewise')) return undefined;
    const assetModelId = environment.find('AWS::IoTSiteWise::AssetModel', 'SiteWiseS1Sensor');
    if (assetModelId === undefined) {
      report.skipped('sitewise', 'SiteWise is not deployed: deploy with `-c sitewise=true`');
      return undefined;
    }
    const { siteWise } = environment.aws;
    let asset: TemporaryAsset | undefined;
    try {
      const made = await siteWise.send(new CreateAssetCommand({ assetName: deviceId, assetModelId }));
      asset = new TemporaryAsset(context, made.assetId ?? '', `${deviceId}${PROPERTY}`);
      await asset.name();
      report.saw('sitewise', `an asset ${deviceId} with the alias ${asset.alias} was made for the time of the proof`);
      return asset;
    } catch (error) {
      report.refuted('sitewise', `an asset cannot be made: ${messageOf(error)}`);
      await asset?.remove();
      return undefined;
    }
  }

  /** Gives the property its alias once the asset is there, and waits until it has it: a value that comes before is lost. */
  private async name(): Promise<void> {
    const { siteWise } = this.context.environment.aws;
    const { assetId } = this;
    const { id: propertyId } = await this.property(() => true);
    const update = { assetId, propertyId, propertyAlias: this.alias };
    await siteWise.send(new UpdateAssetPropertyCommand(update));
    await this.property(({ alias }) => alias === this.alias);
  }

  /** The property, once the asset is active and has it so. */
  private async property(isSo: (property: AssetProperty) => boolean): Promise<AssetProperty> {
    const { siteWise } = this.context.environment.aws;
    const { assetId } = this;
    const found = await waitFor(this.context.patience.soon, async () => {
      const { assetStatus, assetProperties = [] } = await siteWise.send(new DescribeAssetCommand({ assetId }));
      if (assetStatus?.state === 'FAILED') throw new Error(assetStatus.error?.message ?? 'no reason given');
      if (assetStatus?.state !== 'ACTIVE') return undefined;
      return assetProperties.find((each) => each.name === PROPERTY && isSo(each));
    });
    if (found === undefined) throw new Error(`its property ${PROPERTY} does not have the alias ${this.alias} in time`);
    return found;
  }

  /** Waits for a value of the property, and decides the claim. */
  async receives(): Promise<void> {
    const { environment, report, patience } = this.context;
    const asked = new GetAssetPropertyValueCommand({ propertyAlias: this.alias });
    try {
      const value = await waitFor(patience.soon, async () => {
        const answer = await unlessMissing(environment.aws.siteWise.send(asked));
        return answer?.propertyValue?.value?.doubleValue;
      });
      if (value === undefined) {
        const log = environment.find('AWS::Logs::LogGroup', 'SiteWiseRefused');
        return report.refuted(
          'sitewise',
          `${this.alias} got no value; what SiteWise refuses is told in the log ${log}`,
        );
      }
      report.proved('sitewise', `${this.alias} is ${value} (21.5 was sent)`);
    } catch (error) {
      report.refuted('sitewise', messageOf(error));
    }
  }

  async remove(): Promise<void> {
    const { siteWise } = this.context.environment.aws;
    await unlessMissing(siteWise.send(new DeleteAssetCommand({ assetId: this.assetId })));
  }
}
