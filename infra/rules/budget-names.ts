/**
 * "The name of a budget. The value must be unique within an account. [...] Update requires: Replacement."
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-budgets-budget-budgetdata.html
 *
 * Its replacement is made before it goes, so that a budget with a name of ours could never be changed.
 */
import type { Rule } from './rule';
import { at } from './template';

export const rule: Rule = {
  check(template) {
    return template
      .of('AWS::Budgets::Budget')
      .filter(({ properties }) => at(properties, 'Budget', 'BudgetName') !== undefined)
      .map(({ id }) => `${id} has a name, so that its replacement cannot be made beside it`);
  },
};
