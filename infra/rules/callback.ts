/**
 * "Amazon Cognito requires HTTPS over HTTP except for http://localhost for testing purposes only."
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-cognito-userpoolclient.html
 *
 * A flow that leads back to an application has an address to lead to, absolute and not in the clear.
 */
import type { Rule } from './rule';
import { list, text } from './template';

export const rule: Rule = {
  check(template) {
    return template.of('AWS::Cognito::UserPoolClient').flatMap(({ id, properties }) => {
      const flows = list(properties['AllowedOAuthFlows']).map(text);
      if (!flows.includes('code') && !flows.includes('implicit')) return [];
      const addresses = list(properties['CallbackURLs']).map(text);
      if (addresses.length === 0) return [`${id} has the flow ${flows.join(', ')} and no callback`];
      return addresses
        .filter(
          (address) => /^http:\/\/(?!localhost\b)/.test(address) || !/^[a-z][a-z0-9+.-]*:\/\/[^#]+$/.test(address),
        )
        .map((address) => `${id}: Cognito takes no callback ${address}`);
    });
  },
};
