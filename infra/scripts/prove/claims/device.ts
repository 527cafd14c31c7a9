/**
 * A device from its onboarding to a row: the API, IoT Core, the rule, Firehose, the table, the view, and live in SiteWise.
 *
 * The device is removed whatever happens; its one row stays, under a device id that tells this run. What is seen behind the
 * device decides claims of its own, so that a view that cannot be read does not hide that the table can.
 */
import { GetTopicRuleCommand } from '@aws-sdk/client-iot';

import { messageOf } from '../../arguments';
import { query } from '../../athena';
import { configuration, output } from '../../deployed';
import { viewOf } from '../../doctor/stages/view';
import { endToEnd } from '../../end-to-end/run';
import { waitFor } from '../../waiting';
import type { Context } from '../context';
import { TemporaryAsset } from './asset';

const SERIAL = 'DEV_PROVE_00000001';

export async function device(context: Context): Promise<void> {
  const { environment, report, reached, id } = context;
  const { aws, stack } = environment;
  const deviceId = `prove-${id}`;
  const live = await TemporaryAsset.make(context, deviceId);
  const secret = await configuration(aws, stack);
  const target = {
    tokenEndpoint: output(stack, 'tokenEnpoint'),
    api: output(stack, 'iotOnboardingApiUrl'),
    clientId: output(stack, 'cognitoAppClientId'),
    refreshToken: secret.get('cognitoRefreshToken') ?? '',
    serial: SERIAL,
    topic: await topicOf(context),
    deviceId,
    ...reached,
    arrived: async (): Promise<void> => {
      await live?.receives();
      await rows(context, deviceId);
    },
  };
  try {
    await endToEnd(target, (line) => report.saw('onboarding', line));
    report.proved('onboarding');
  } catch (error) {
    report.refuted('onboarding', messageOf(error));
    for (const name of ['rule', 'table', 'view', 'sitewise']) {
      report.skipped(name, 'no message was published: see onboarding');
    }
  } finally {
    await live?.remove();
  }
}

/** A topic that the rule listens to, and that a policy for one's own topics lets this device publish to. */
async function topicOf({ environment }: Context): Promise<string> {
  const ruleName = environment.get('AWS::IoT::TopicRule', 'RawDeliveryRule');
  const { rule } = await environment.aws.iot.send(new GetTopicRuleCommand({ ruleName }));
  const [, filter = 'data/#'] = /FROM '([^']*)'/.exec(rule?.sql ?? '') ?? [];
  return filter.replaceAll('+', 'test').replace('#', SERIAL);
}

/** Waits for the row in the table, and looks for it through the view. */
async function rows(context: Context, deviceId: string): Promise<void> {
  const { environment, report, patience } = context;
  const [database, table] = [environment.output('glueDbName'), environment.output('athenaTableName')];
  const name = environment.get('AWS::Athena::WorkGroup');
  const published = new Date();
  // What is asked again and again reads two days at most.
  const where = (column: string): string => `"${column}" = '${deviceId}' AND ${days(published)}`;
  const begun = Date.now();
  let failure = 'there is no row of the device';
  const found = await waitFor(patience.row, async () => {
    try {
      const sql = `SELECT "_source" AS source FROM "${database}"."${table}" WHERE ${where('device.deviceid')}`;
      return (await query(environment.aws.athena, { name }, sql))[0];
    } catch (error) {
      failure = messageOf(error);
      return undefined;
    }
  });
  if (found === undefined) {
    const minutes = Math.round(patience.row.atMost / 60_000);
    report.refuted('table', `after ${minutes} minutes: ${failure}; \`npm run doctor\` names the stage that is broken`);
    report.skipped('rule', 'no row came: see table');
    report.skipped('view', 'no row came: see table');
    return;
  }
  const source = found.get('source') ?? '';
  report.proved('table', `the row was there ${Math.round((Date.now() - begun) / 1_000)} s after it was published`);
  report.proved('rule', `its raw object, which Firehose wrote from what the rule handed it: ${source}`);
  if (context.isLeftOut('view')) return;
  const view = viewOf(environment);
  try {
    const sql = `SELECT "measurements.temperature.double" AS t, "year" FROM "${database}"."${view}" WHERE ${where('device.deviceid')}`;
    const [row] = await query(environment.aws.athena, { name }, sql);
    if (row === undefined) report.refuted('view', `the row is in ${table}, and not in ${view}`);
    else report.proved('view', `${view} has the row, its temperature is ${row.get('t')} (21.5 was sent)`);
  } catch (error) {
    report.refuted('view', messageOf(error));
  }
}

/** The partitions of the day in which something was, and of the next, should it be midnight. */
function days(at: Date): string {
  const of = (time: number): string => {
    const [year, month, day] = new Date(time).toISOString().slice(0, 10).split('-');
    return `("year" = '${year}' AND "month" = '${month}' AND "day" = '${day}')`;
  };
  return `(${of(at.getTime())} OR ${of(at.getTime() + 86_400_000)})`;
}
