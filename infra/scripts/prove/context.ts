/** What every proof is given: the deployment, the report, and how long to wait for what. */
import type { Environment } from '../doctor/environment';
import type { Target } from '../end-to-end/run';
import type { Patience } from '../waiting';
import type { Report } from './report';

export interface Context {
  readonly environment: Environment;
  readonly report: Report;
  /** Marks what this run makes, so that it is told from all else: letters and digits. */
  readonly id: string;
  /** Claims that are left out. */
  readonly isLeftOut: (name: string) => boolean;
  /** Where token endpoint, API and broker are reached, where it is not as the stack says; for stand-ins. */
  readonly reached?: Partial<Pick<Target, 'tokenEndpoint' | 'api' | 'broker'>>;
  readonly patience: Patiences;
}

export interface Patiences {
  /** For a message to become a row: Firehose waits up to 15 minutes, if its interval says so. */
  readonly row: Patience;
  /** For what takes seconds. */
  readonly soon: Patience;
  /** For an execution of the state machine, or an import. */
  readonly run: Patience;
  /** For a stack. */
  readonly stack: Patience;
}

export const PATIENCES: Patiences = {
  row: { every: 15_000, atMost: 1_200_000 },
  soon: { every: 2_000, atMost: 120_000 },
  run: { every: 5_000, atMost: 900_000 },
  stack: { every: 5_000, atMost: 3_600_000 },
};
