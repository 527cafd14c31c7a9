/**
 * What Step Functions computes before it calls the function: the JSONata of a state's arguments over its input.
 */
import jsonata from 'jsonata';

/** As far as it is looked at, a machine whose one state is a Map over batches that a function takes. */
interface Machine {
  readonly States: {
    readonly Ingest: { readonly ItemProcessor: { readonly States: { readonly Batch: { Arguments: unknown } } } };
  };
}

/** The arguments of the task for one batch: texts between `{%` and `%}` are expressions, all others stay. */
export async function argumentsFor(definition: object, input: object): Promise<Record<string, unknown>> {
  const { Batch } = (definition as Machine).States.Ingest.ItemProcessor.States;
  return (await evaluated(Batch.Arguments, { input })) as Record<string, unknown>;
}

/** A value of a state with its expressions computed, given `$states` and variables that were assigned. */
export async function evaluated(value: unknown, states: object, variables: object = {}): Promise<unknown> {
  if (typeof value === 'string') {
    const [, expression] = /^\{%(.*)%\}$/s.exec(value) ?? [];
    // A sequence of JSONata is an array with marks of its own, which JSON does not have.
    if (expression === undefined) return value;
    return JSON.parse(JSON.stringify(await jsonata(expression).evaluate({}, { states, ...variables })));
  }
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(
    async ([key, each]) => [key, await evaluated(each, states, variables)] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}
