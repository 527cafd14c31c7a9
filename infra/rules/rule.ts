/**
 * What a rule is: a fact of AWS's documentation, turned into a question to synthesized templates.
 *
 * A file of this folder holds one rule. It opens with the sentence it stands on, in quotation marks, and the address
 * where it is written, so that who doubts the rule can read on; a test reads both and fails where one is missing. To
 * add a rule write such a file, list it in `index.ts`, and give it a template that breaks it in test/rules/small.ts.
 */
import type { Template } from './template';

export interface Rule {
  /** What is wrong in one template: a line for each resource that breaks the rule. */
  check(template: Template): string[];
  /** What is wrong between templates of one stack under different settings; most rules have nothing to ask here. */
  across?(templates: readonly Template[]): string[];
}
