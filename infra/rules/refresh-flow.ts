/**
 * "ALLOW_REFRESH_TOKEN_AUTH: Enable authflow to refresh tokens. [...] If you don't specify a value for
 * ExplicitAuthFlows, your user client supports ALLOW_REFRESH_TOKEN_AUTH, ALLOW_USER_SRP_AUTH, and ALLOW_CUSTOM_AUTH."
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-cognito-userpoolclient.html
 */
import type { Rule } from './rule';
import { list, text } from './template';

export const rule: Rule = {
  check(template) {
    return template
      .of('AWS::Cognito::UserPoolClient')
      .filter(({ properties }) => properties['RefreshTokenValidity'] !== undefined)
      .filter(({ properties }) => {
        const flows = list(properties['ExplicitAuthFlows']).map(text);
        return flows.length > 0 && !flows.includes('ALLOW_REFRESH_TOKEN_AUTH');
      })
      .map(({ id }) => `${id} gives refresh tokens that it does not take`);
  },
};
