/**
 * All claims, in the order in which they are proved, and the proofs.
 *
 * What must stay true: infra/README.md lists these claims and no others; what destroys is the last, and only on request; a
 * proof that fails leaves the others to be tried.
 */
import { randomBytes } from 'node:crypto';

import { messageOf, UsageError } from '../arguments';
import type { Environment } from '../doctor/environment';
import { again } from './claims/again';
import { alarms } from './claims/alarms';
import { backfill } from './claims/backfill';
import { deployments } from './claims/deployments';
import { device } from './claims/device';
import { dashboard, panels } from './claims/panels';
import { token } from './claims/token';
import { PATIENCES, type Context } from './context';
import { Report, type Claim, type Outcome } from './report';

const NO_RULES = 'the stand-in runs no IoT rule, and has no broker of its own that this reaches';
const DESTROYS = 'it destroys the environment with all its data: --destroy asks for it';

export const CLAIMS: readonly Claim[] = [
  {
    name: 'token',
    says: "Cognito's token endpoint takes the wizard's refresh token, in the query string and as a form, and refuses others.",
    standIn: "the stand-in's token endpoint knows no refresh",
  },
  {
    name: 'onboarding',
    says: 'A device gets its identity through the API, publishes with it to IoT Core, and is removed.',
    standIn: NO_RULES,
  },
  { name: 'rule', says: 'IoT Core evaluates the rule and hands the message to Firehose.', standIn: NO_RULES },
  { name: 'table', says: 'The message is a row that Athena reads.', standIn: NO_RULES },
  {
    name: 'view',
    says: 'Athena reads the stored view, whose columns have dots in their names.',
    standIn: 'the stand-in reads no views',
  },
  { name: 'sitewise', says: "A value is the asset's property in SiteWise.", standIn: 'the stand-in has no SiteWise' },
  {
    name: 'panels',
    says: 'Athena answers what each panel of the dashboard asks.',
    standIn: "the stand-in speaks DuckDB's dialect, and reads no views",
  },
  {
    name: 'dashboard',
    says: 'QuickSight imports the data set, and has no complaint about data source, data set and dashboard.',
    standIn: 'the stand-in has no QuickSight',
  },
  { name: 'alarms', says: 'Each alarm that goes off is told to those who subscribed to the topic.' },
  {
    name: 'backfill',
    says: 'A backfill with an object that cannot be ingested fails and names it, does all others, and succeeds without it.',
    standIn: "the stand-in's Map makes no batches",
  },
  { name: 'first-deployment', says: 'How long the first deployment took.' },
  { name: 'init-on-upgrade', says: 'An upgrade runs `init`, which adds the columns and views of a release.' },
  {
    name: 'full-buckets',
    says: 'CloudFormation refuses to delete full buckets; uninstall leaves and lists them.',
    standIn: "the stand-in's CloudFormation deletes full buckets",
    onRequest: DESTROYS,
  },
  { name: 'same-name', says: 'After uninstall the same name is deployed again.', onRequest: DESTROYS },
  {
    name: 'bill',
    says: 'The sums of "What it costs" are those of the bill.',
    standIn: 'a stand-in sends no bill',
    onRequest: 'no command knows it: look at Cost Explorer after a month, by the tag iotlake:environment',
  },
];

/** The proofs, each with the claims that it decides. */
const PROOFS: readonly { readonly claims: readonly string[]; readonly prove: (context: Context) => Promise<void> }[] = [
  { claims: ['token'], prove: token },
  { claims: ['onboarding', 'rule', 'table', 'view', 'sitewise'], prove: device },
  { claims: ['panels'], prove: panels },
  { claims: ['dashboard'], prove: dashboard },
  { claims: ['alarms'], prove: alarms },
  { claims: ['backfill'], prove: backfill },
  { claims: ['first-deployment', 'init-on-upgrade'], prove: deployments },
  { claims: ['full-buckets', 'same-name'], prove: again },
];

export interface Request {
  /** Claims to prove; all, if none is named. */
  readonly only: readonly string[];
  /** Whether what destroys is proved too. */
  readonly destroys: boolean;
  /** Whether this is a stand-in for AWS. */
  readonly standIn: boolean;
  /** Claims that this stand-in can show all the same, since a test does what it lacks. */
  readonly supplied?: readonly string[];
  readonly reached?: Context['reached'];
  readonly patience?: Context['patience'];
  readonly say?: (line: string) => void;
}

/** Proves what can be proved of an environment. */
export async function prove(environment: Environment, request: Request): Promise<Outcome[]> {
  const unknown = request.only.filter((name) => !CLAIMS.some((claim) => claim.name === name));
  if (unknown.length > 0) {
    const names = CLAIMS.map(({ name }) => name).join(', ');
    throw new UsageError(`--only names ${unknown.join(', ')}, which is no claim: they are ${names}`);
  }
  const report = new Report(CLAIMS, request.say);
  const left = new Set(CLAIMS.filter((claim) => leaveOut(claim, request, report)).map(({ name }) => name));
  const context: Context = {
    environment,
    report,
    id: randomBytes(4).toString('hex'),
    isLeftOut: (name) => left.has(name),
    patience: request.patience ?? PATIENCES,
    ...(request.reached === undefined ? {} : { reached: request.reached }),
  };
  for (const { claims, prove: proof } of PROOFS) {
    const open = claims.filter((name) => !left.has(name));
    if (open.length === 0) continue;
    try {
      await proof(context);
    } catch (error) {
      const name = error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : '';
      for (const each of open) report.refuted(each, `${name}${messageOf(error)}`);
    }
  }
  return report.outcomes();
}

/** Whether a claim is left out, with the reason in the report. */
function leaveOut({ name, standIn, onRequest }: Claim, request: Request, report: Report): boolean {
  const why = ((): string | undefined => {
    if (request.only.length > 0 && !request.only.includes(name)) return '--only names others';
    if (onRequest !== undefined && !(onRequest === DESTROYS && request.destroys)) return onRequest;
    if (request.standIn && request.supplied?.includes(name) !== true) return standIn;
    return undefined;
  })();
  if (why === undefined) return false;
  report.skipped(name, why);
  return true;
}
