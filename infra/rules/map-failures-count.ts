/**
 * "If you specify the percentage as 100, the workflow won't fail even if all child workflow executions fail."
 * https://docs.aws.amazon.com/step-functions/latest/dg/maprun-fail-threshold.html
 *
 * A Distributed Map that tolerates failures is followed by a question how many there were, which leads to a state that
 * fails the execution: one that has succeeded cannot be redriven, and nobody looks at it again.
 */
import type { Rule } from './rule';
import { at, text, type Value } from './template';

type States = Readonly<Record<string, Value>>;

/** Whether a way leads from a state to one that asks for the counts, and on to one that fails. */
function isCounted(states: States, from: string): boolean {
  const seen = new Set<string>();
  const ahead = [from];
  let counts = false;
  let fails = false;
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const state = states[name];
    counts ||= text(at(state, 'Resource')).endsWith(':describeMapRun');
    fails ||= at(state, 'Type') === 'Fail';
    const choices = at(state, 'Choices');
    const nexts = [
      at(state, 'Next'),
      at(state, 'Default'),
      ...(Array.isArray(choices) ? choices : []).map((each) => at(each as Value, 'Next')),
    ];
    ahead.push(...nexts.filter((next): next is string => typeof next === 'string'));
  }
  return counts && fails;
}

export const rule: Rule = {
  check(template) {
    return template.of('AWS::StepFunctions::StateMachine').flatMap(({ id, properties }) => {
      const { States: states } = JSON.parse(text(properties['DefinitionString'])) as { States: States };
      return Object.entries(states).flatMap(([name, state]) => {
        if (at(state, 'Type') !== 'Map') return [];
        const tolerated = [at(state, 'ToleratedFailurePercentage'), at(state, 'ToleratedFailureCount')];
        if (tolerated.every((each) => each === undefined || each === 0)) return [];
        const next = at(state, 'Next');
        if (typeof next === 'string' && isCounted(states, next)) return [];
        return [`${id}: the Map ${name} tolerates failures, and the execution succeeds with them`];
      });
    });
  },
};
