/**
 * Waiting for a condition: the same question again until it has an answer, or until time is over.
 */

/** How often to ask, and for how long, in milliseconds. */
export interface Patience {
  readonly every: number;
  readonly atMost: number;
}

/** Asks until there is an answer; `undefined` if time is over first. At least one question is asked. */
export async function waitFor<T>(patience: Patience, ask: () => Promise<T | undefined>): Promise<T | undefined> {
  const end = Date.now() + patience.atMost;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() >= end) return undefined;
    await new Promise((resolve) => setTimeout(resolve, patience.every));
  }
}
