/**
 * "You can't modify or remove an output value that is referenced by another stack."
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/walkthrough-crossstackref.html
 *
 * So a stack has the same exports under all settings: one that comes and goes with an option fails the deployment that
 * leaves the option out.
 */
import type { Rule } from './rule';

export const rule: Rule = {
  check: () => [],
  across(templates) {
    const all = new Set(templates.flatMap((template) => template.exports));
    return templates.flatMap((template) => {
      const missing = [...all].filter((name) => !template.exports.includes(name));
      return missing.map((name) => `${template.name} has no export ${name}, which other settings have`);
    });
  },
};
