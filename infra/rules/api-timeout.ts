/**
 * "Maximum integration timeout: 30 seconds. Can be increased: No."
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
 *
 * A function behind an HTTP API that runs longer than that does what nobody is told of.
 */
import type { Rule } from './rule';
import { text, within } from './template';

const MOST_SECONDS = 30;

export const rule: Rule = {
  check(template) {
    return template.of('AWS::ApiGatewayV2::Integration').flatMap(({ id, properties }) => {
      const behind = [properties, ...within(properties)]
        .map((each) => template.target(each))
        .find((each) => each?.type === 'AWS::Lambda::Function');
      if (behind === undefined) return [];
      const runs = Number(text(behind.properties['Timeout'] ?? 3));
      return runs < MOST_SECONDS
        ? []
        : [`${id}: API Gateway answers after ${MOST_SECONDS} s, ${behind.id} may run for ${runs} s`];
    });
  },
};
