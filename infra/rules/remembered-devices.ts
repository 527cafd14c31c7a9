/**
 * "Users who sign in with the API operations `InitiateAuth` and `AdminInitiateAuth` can refresh their tokens with the
 * token endpoint when remembered devices is not active in your user pool."
 * https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html
 *
 * The wizard's token comes from `AdminInitiateAuth` and is refreshed at the token endpoint.
 */
import type { Rule } from './rule';

export const rule: Rule = {
  check(template) {
    return template
      .of('AWS::Cognito::UserPool')
      .filter(({ properties }) => properties['DeviceConfiguration'] !== undefined)
      .map(({ id }) => `${id} remembers devices, so that the token endpoint refuses its refresh tokens`);
  },
};
