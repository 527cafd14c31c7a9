/**
 * What is seen of a stage, and what is wrong with it.
 *
 * A stage tells facts, as AWS has them, and what they mean: that something is broken, with the remedy, or that nothing
 * is wrong but nothing has come through either. What must stay true: a stage that could not be looked at is never taken
 * for one that is well.
 */
import { messageOf } from '../arguments';
import type { Environment } from './environment';

/**
 * How a stage is: `well`; `broken`; `quiet`, which is well, but nothing has come through it; `absent`, which is not part
 * of this deployment; `unseen`, which AWS did not let be looked at.
 */
export type State = 'well' | 'broken' | 'quiet' | 'absent' | 'unseen';

/** What is wrong, and what to do. */
export interface Problem {
  readonly what: string;
  readonly remedy: string;
}

/** What was seen of a stage. */
export interface Finding {
  readonly stage: string;
  readonly state: State;
  /** Name and value, in the order in which they were seen. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly problems: readonly Problem[];
  /** Why a stage is quiet, absent or unseen. */
  readonly note?: string;
}

/** A stage of the way from a device to a dashboard. */
export interface Stage {
  readonly name: string;
  examine(environment: Environment, look: Look): Promise<void>;
}

/** Takes down what is seen. */
export class Look {
  private readonly facts: (readonly [string, string])[] = [];
  private readonly problems: Problem[] = [];
  private other: { readonly state: 'quiet' | 'absent' | 'unseen'; readonly note: string } | undefined;

  fact(name: string, value: unknown): void {
    if (value !== undefined && value !== '') this.facts.push([name, String(value)]);
  }

  broken(what: string, remedy: string): void {
    this.problems.push({ what, remedy });
  }

  quiet(note: string): void {
    this.other ??= { state: 'quiet', note };
  }

  absent(note: string): void {
    this.other = { state: 'absent', note };
  }

  unseen(note: string): void {
    this.other = { state: 'unseen', note };
  }

  finding(stage: string): Finding {
    const { facts, problems, other } = this;
    if (problems.length > 0) return { stage, state: 'broken', facts, problems };
    if (other === undefined) return { stage, state: 'well', facts, problems };
    return { stage, state: other.state, facts, problems, note: other.note };
  }
}

/** Looks at one stage. What AWS refuses to show is `unseen`, with AWS's reason. */
export async function lookAt(stage: Stage, environment: Environment): Promise<Finding> {
  const look = new Look();
  try {
    await stage.examine(environment, look);
  } catch (error) {
    const name = error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : '';
    look.unseen(`${name}${messageOf(error)}`);
  }
  return look.finding(stage.name);
}
