/**
 * What was proved of a deployment, with the evidence for it; what was refuted; and what was not tried, and why.
 *
 * What must stay true: a claim is proved only by what was seen in this run, and every claim is in the report, whatever
 * happened to the others.
 */

/** How a claim stands. */
export type State = 'proved' | 'refuted' | 'skipped';

/** A sentence about the deployment that only an account can show. */
export interface Claim {
  /** A short name, as in infra/README.md. */
  readonly name: string;
  readonly says: string;
  /** Why a stand-in for AWS cannot show it; nothing where it can. */
  readonly standIn?: string;
  /** Why it is left out unless it is asked for. */
  readonly onRequest?: string;
}

/** A claim with what became of it. */
export interface Outcome extends Pick<Claim, 'name' | 'says'> {
  readonly state: State;
  /** What was seen, in the order in which it was. */
  readonly evidence: readonly string[];
  /** Why it is refuted or skipped. */
  readonly why?: string;
}

/** Takes down outcomes. */
export class Report {
  private readonly evidence = new Map<string, string[]>();
  private readonly ended = new Map<string, { readonly state: State; readonly why?: string }>();

  constructor(
    private readonly claims: readonly Claim[],
    /** Told of each claim when it is decided. */
    private readonly say: (line: string) => void = () => undefined,
  ) {}

  /** Something that was seen, for or against a claim. */
  saw(name: string, ...lines: string[]): void {
    this.evidence.set(name, [...(this.evidence.get(name) ?? []), ...lines]);
  }

  proved(name: string, ...lines: string[]): void {
    this.saw(name, ...lines);
    this.end(name, 'proved');
  }

  refuted(name: string, why: string): void {
    this.end(name, 'refuted', why);
  }

  skipped(name: string, why: string): void {
    this.end(name, 'skipped', why);
  }

  /** Whether a claim is decided. */
  isDecided(name: string): boolean {
    return this.ended.has(name);
  }

  outcomes(): Outcome[] {
    return this.claims.map(({ name, says }) => {
      const { state, why } = this.ended.get(name) ?? { state: 'skipped', why: 'it was not reached' };
      const seen = { name, says, state, evidence: this.evidence.get(name) ?? [] };
      return why === undefined ? seen : { ...seen, why };
    });
  }

  private end(name: string, state: State, why?: string): void {
    // The first word stands: what fails later fails since something failed before.
    if (this.ended.has(name)) return;
    this.ended.set(name, why === undefined ? { state } : { state, why });
    this.say(`${state.padEnd(9)}${name}${why === undefined ? '' : `: ${why}`}`);
  }
}

/** The report for people, as Markdown. */
export function shown(environment: string, started: Date, outcomes: readonly Outcome[]): string {
  const count = (state: State): number => outcomes.filter((each) => each.state === state).length;
  const parts = outcomes.flatMap(({ name, says, state, evidence, why }) => [
    '',
    `## ${name}: ${state}`,
    '',
    says,
    ...(why === undefined ? [] : ['', `${state === 'skipped' ? 'Skipped' : 'Refuted'}: ${why}`]),
    ...(evidence.length === 0 ? [] : ['', ...evidence.map((line) => `- ${line}`)]),
  ]);
  return [
    `# What was proved of ${environment}, ${started.toISOString()}`,
    '',
    `${count('proved')} proved, ${count('refuted')} refuted, ${count('skipped')} skipped.`,
    ...parts,
  ].join('\n');
}
