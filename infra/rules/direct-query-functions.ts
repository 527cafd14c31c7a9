/**
 * "epochDate is supported for use with analyses based on datasets stored in QuickSight (SPICE)."
 * https://docs.aws.amazon.com/quicksight/latest/user/epochDate-function.html
 *
 * A data set that is queried directly has no such function, neither in its own calculated columns nor in the
 * calculated fields of analyses and dashboards over it. Names of further functions go into the list, with their pages.
 */
import type { Rule } from './rule';
import { text, within } from './template';

const ONLY_SPICE = ['epochDate'];

export const rule: Rule = {
  check(template) {
    const direct = template
      .of('AWS::QuickSight::DataSet')
      .filter(({ properties }) => properties['ImportMode'] === 'DIRECT_QUERY');
    if (direct.length === 0) return [];
    const over = template.of('AWS::QuickSight::Analysis', 'AWS::QuickSight::Dashboard');
    return [...direct, ...over].flatMap(({ id, properties }) =>
      [...within(properties)].flatMap((each) => {
        const expression = each['Expression'];
        if (typeof expression !== 'string') return [];
        return ONLY_SPICE.filter((name) => new RegExp(`\\b${name}\\s*\\(`).test(expression)).map(
          (name) => `${id}: ${name} in \`${text(expression)}\` needs SPICE`,
        );
      }),
    );
  },
};
