/**
 * "Custom resource provider requests with `RequestType` set to `Update` are sent when there's any change to the
 * properties of the custom resource within the template."
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes-update.html
 *
 * So among the properties is what identifies the code that is run: a digest of the provider's, where it stands in the
 * template, and the key of the zip of every function that is named to it.
 */
import { createHash } from 'node:crypto';

import type { Rule } from './rule';
import { at, text, within, type Resource } from './template';

const isCustom = ({ type }: Resource): boolean =>
  type.startsWith('Custom::') || type === 'AWS::CloudFormation::CustomResource';

export const rule: Rule = {
  check(template) {
    return template.resources.filter(isCustom).flatMap(({ id, properties }) => {
      const values = Object.values(properties).map(text);
      const wrong: string[] = [];
      const inline = at(template.target(properties['ServiceToken'])?.properties, 'Code', 'ZipFile');
      if (typeof inline === 'string') {
        const digest = createHash('sha256').update(inline).digest('hex').slice(0, 16);
        if (!values.includes(digest)) wrong.push(`${id} does not change with the code of its provider`);
      }
      for (const [key, value] of Object.entries(properties)) {
        if (key === 'ServiceToken') continue;
        for (const each of within(value)) {
          const named = template.target(each);
          const zip = at(named?.properties, 'Code', 'S3Key');
          if (zip !== undefined && !values.includes(text(zip))) {
            wrong.push(`${id} does not change with the code of ${named?.id ?? ''}, which it runs`);
          }
        }
      }
      return wrong;
    });
  },
};
