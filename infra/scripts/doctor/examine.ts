/**
 * All stages, in the order in which a message passes them, and what comes of looking at them.
 *
 * What must stay true: every stage is looked at, also behind one that is broken; the first that is broken is the one to
 * mend first.
 */
import type { Environment } from './environment';
import { lookAt, type Finding, type Stage } from './look';
import { dashboards } from './stages/dashboards';
import { deadLetters } from './stages/dead-letters';
import { device } from './stages/device';
import { firehose } from './stages/firehose';
import { ingest } from './stages/function';
import { notification } from './stages/notification';
import { partitions } from './stages/partitions';
import { queue } from './stages/queue';
import { rawBucket } from './stages/raw-bucket';
import { receipts } from './stages/receipts';
import { rule } from './stages/rule';
import { sitewise } from './stages/sitewise';
import { table } from './stages/table';
import { view } from './stages/view';
import { workgroup } from './stages/workgroup';

export const STAGES: readonly Stage[] = [
  device,
  rule,
  firehose,
  rawBucket,
  notification,
  queue,
  ingest,
  deadLetters,
  receipts,
  table,
  partitions,
  view,
  workgroup,
  dashboards,
  sitewise,
];

/** What was seen of a deployment. */
export interface Examination {
  readonly environment: string;
  readonly stages: readonly Finding[];
  /** The first stage that is broken. */
  readonly first?: Finding;
  /** Stages that AWS did not let be looked at. */
  readonly unseen: readonly string[];
}

/** Looks at every stage. */
export async function examine(environment: Environment): Promise<Examination> {
  const stages: Finding[] = [];
  for (const stage of STAGES) stages.push(await lookAt(stage, environment));
  const first = stages.find(({ state }) => state === 'broken');
  const unseen = stages.filter(({ state }) => state === 'unseen').map(({ stage }) => stage);
  return { environment: environment.name, stages, unseen, ...(first === undefined ? {} : { first }) };
}

/** The examination for people: each stage with its facts, and at the end what to mend first. */
export function shown({ stages, first, unseen }: Examination): string {
  const lines = stages.flatMap(({ stage, state, facts, problems, note }) => [
    `${stage.padEnd(26)}${state === 'broken' ? 'BROKEN' : state}${note === undefined ? '' : `: ${note}`}`,
    ...facts.map(([name, value]) => `    ${name}: ${value}`),
    ...problems.flatMap(({ what, remedy }) => [`  ! ${what}`, `    remedy: ${remedy}`]),
  ]);
  lines.push('');
  if (first !== undefined) {
    const [problem] = first.problems;
    lines.push(`first broken: ${first.stage}: ${problem?.what}`, `remedy: ${problem?.remedy}`);
  } else if (unseen.length === 0) lines.push('nothing is broken');
  if (unseen.length > 0) lines.push(`could not be looked at: ${unseen.join(', ')}; the reason stands beside each`);
  return lines.join('\n');
}
