/**
 * "CloudWatch Logs resource policies are limited to 5120 characters. [...] To avoid reaching the CloudWatch Logs resource
 * policy size limit, prefix your CloudWatch Logs log group names with `/aws/vendedlogs/`."
 * https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
 */
import type { Rule } from './rule';
import { text, within } from './template';

export const rule: Rule = {
  check(template) {
    return template.of('AWS::StepFunctions::StateMachine').flatMap(({ id, properties }) =>
      [...within(properties['LoggingConfiguration'])]
        .map((each) => template.target(each['LogGroupArn']))
        .filter(
          (group) => group !== undefined && !text(group.properties['LogGroupName']).startsWith('/aws/vendedlogs/'),
        )
        .map((group) => `${id} logs to ${group?.id ?? ''}, whose name takes a place in the account's policy`),
    );
  },
};
