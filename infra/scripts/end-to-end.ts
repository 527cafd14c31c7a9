/**
 * `npm run end-to-end`: does a deployed environment onboard a device, take its message, and let it go?
 */
import { Exit, Failure, main, type Options } from './arguments';
import { query } from './athena';
import { Aws } from './aws';
import { configuration, output, stackOf } from './deployed';
import { since } from './end-to-end/hours';
import { endToEnd, topicUnder } from './end-to-end/run';
import { waitFor } from './waiting';

const OPTIONS: Options = {
  environment: { required: true, meaning: 'the environment, such as int' },
  region: { meaning: 'the region of the stack; as the AWS CLI has it' },
  serial: { fallback: 'DEV_00000001', meaning: 'the device that is onboarded and removed again' },
  topic: { meaning: 'the topic that it publishes to; one under the rootMqttTopic of the stack' },
  'wait-for-row': { flag: true, meaning: 'also wait until the message can be queried (Firehose takes its interval)' },
};

/** Firehose waits up to 15 minutes, if its interval says so. */
const PATIENCE = { every: 15_000, atMost: 1_200_000 };

main('end-to-end', 'Onboards a device, publishes a message, removes the device.', OPTIONS, async (parsed) => {
  const aws = new Aws(parsed.find('region'));
  const stack = await stackOf(aws, parsed.get('environment'));
  const started = new Date();
  const arrived = async (deviceId: string): Promise<void> => {
    const name = stack.resources.find(({ type }) => type === 'AWS::Athena::WorkGroup')?.physicalId ?? 'primary';
    const table = `"${output(stack, 'glueDbName')}"."${output(stack, 'athenaTableName')}"`;
    const found = await waitFor(PATIENCE, async () => {
      const sql = `SELECT count(*) AS n FROM ${table} WHERE ${since(started, new Date())} AND "device.deviceid" = '${deviceId}'`;
      const [row] = await query(aws.athena, { name }, sql);
      return Number(row?.get('n')) > 0 ? true : undefined;
    });
    if (found !== true)
      throw new Failure(`${deviceId} is not in the lake after 20 minutes`, 'see TROUBLESHOOTING.md, "No rows"');
  };
  const target = {
    tokenEndpoint: output(stack, 'tokenEnpoint'),
    api: output(stack, 'iotOnboardingApiUrl'),
    clientId: output(stack, 'cognitoAppClientId'),
    refreshToken: (await configuration(aws, stack)).get('cognitoRefreshToken') ?? '',
    serial: parsed.get('serial'),
    // A stack of an earlier release does not tell its filter.
    topic: parsed.find('topic') ?? topicUnder(stack.outputs.get('mqttTopicFilter') ?? 'data/#'),
  };
  await endToEnd(parsed.has('wait-for-row') ? { ...target, arrived } : target, (line) => console.log(line));
  return Exit.Done;
});
