/**
 * "When false, only SDK-based API sign-in is permitted."
 * https://docs.aws.amazon.com/sdk-for-kotlin/api/latest/cognitoidentityprovider/aws.sdk.kotlin.services.cognitoidentityprovider.model/-user-pool-client-type/allowed-o-auth-flows-user-pool-client.html
 *
 * So a client of a pool with a domain, whose token endpoint is there to be used, has OAuth switched on and a flow.
 */
import type { Rule } from './rule';
import { at, list, text } from './template';

export const rule: Rule = {
  check(template) {
    const pools = template.of('AWS::Cognito::UserPoolDomain').map(({ properties }) => text(properties['UserPoolId']));
    return template
      .of('AWS::Cognito::UserPoolClient')
      .filter(({ properties }) => pools.includes(text(properties['UserPoolId'])))
      .filter(
        ({ properties }) =>
          at(properties, 'AllowedOAuthFlowsUserPoolClient') !== true ||
          list(properties['AllowedOAuthFlows']).length === 0,
      )
      .map(({ id }) => `${id} is refused at the token endpoint of its pool: OAuth is off`);
  },
};
