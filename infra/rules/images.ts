/**
 * "If the error message contains "toomanyrequests", and the image is obtained from Docker Hub, this error means the Docker
 * Hub pull limit has been reached."
 * https://docs.aws.amazon.com/codebuild/latest/userguide/troubleshooting.html
 *
 * Builds of many accounts share CodeBuild's addresses, so that who pulls without a name finds the limit reached.
 */
import type { Rule } from './rule';
import { at, text } from './template';

/** Of Docker Hub are images without a host before the first slash, or with its own. */
const isOfDockerHub = (image: string): boolean => {
  const [first = '', ...rest] = image.split('/');
  if (rest.length === 0) return true;
  return first === 'docker.io' || !/[.:]/.test(first);
};

export const rule: Rule = {
  check(template) {
    return template.of('AWS::CodeBuild::Project').flatMap(({ id, properties }) => {
      const image = text(at(properties, 'Environment', 'Image'));
      // CodeBuild's own are named so.
      if (image.startsWith('aws/codebuild/') || at(properties, 'Environment', 'RegistryCredential') !== undefined)
        return [];
      return isOfDockerHub(image)
        ? [`${id} pulls ${image} from Docker Hub without a name, from an address of many`]
        : [];
    });
  },
};
