/** The newest line of a log that matters, with its time. */
import { FilterLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';

import { unlessMissing } from '../aws';
import type { Environment } from './environment';
import { HOURS } from './metrics';

export interface Line {
  readonly time: Date;
  readonly text: string;
}

/** Pages that are read at most; a log may be long, and only its last words are of use. */
const PAGES = 20;

/** The newest line of the last day that fits a pattern of CloudWatch Logs; nothing if none does. */
export async function lastLine(environment: Environment, group: string, pattern?: string): Promise<Line | undefined> {
  let newest: Line | undefined;
  let nextToken: string | undefined;
  for (let page = 0; page < PAGES; page += 1) {
    const command = new FilterLogEventsCommand({
      logGroupName: group,
      startTime: environment.now() - HOURS * 3_600_000,
      ...(pattern === undefined ? {} : { filterPattern: pattern }),
      ...(nextToken === undefined ? {} : { nextToken }),
    });
    const answer = await unlessMissing(environment.aws.logs.send(command));
    for (const { timestamp = 0, message = '' } of answer?.events ?? []) {
      if (newest === undefined || timestamp >= newest.time.getTime()) {
        newest = { time: new Date(timestamp), text: message.trim().slice(0, 600) };
      }
    }
    nextToken = answer?.nextToken;
    if (nextToken === undefined) break;
  }
  return newest;
}
