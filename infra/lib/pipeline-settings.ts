/** What the pipeline is told, read and checked as the settings of an environment are. */

/** Where the source is, and what the environment is deployed with. */
export interface PipelineSettings {
  readonly environment: string;
  /** Of a connection to the repository's host, confirmed in the console. */
  readonly connectionArn: string;
  readonly owner: string;
  readonly repository: string;
  readonly branch: string;
  /** Variables for the deployment: everything of this shell that begins with `IOTLAKE_`. */
  readonly told: Record<string, string>;
}

/** Reads and checks them; everything that is wrong is in the message of the error. */
export function readPipelineSettings(
  context: (name: string) => unknown,
  environment: string,
  variables: NodeJS.ProcessEnv = process.env,
): PipelineSettings {
  const problems: string[] = [];
  const text = (name: string, pattern: RegExp, due: string, otherwise = ''): string => {
    const value = String(context(name) ?? otherwise);
    if (!pattern.test(value)) problems.push(`${name} is \`${value}\`: ${due}`);
    return value;
  };
  const connection = /^arn:[^:]+:(codeconnections|codestar-connections):[^:]+:\d{12}:connection\/[0-9a-f-]+$/;
  const settings = {
    environment,
    connectionArn: text('connectionArn', connection, 'the ARN of a connection is due (Developer Tools > Connections)'),
    owner: text('owner', /^[\w.-]+$/, 'the owner of the repository is due'),
    repository: text('repository', /^[\w.-]+$/, 'the name of the repository is due', 'iotlake'),
    branch: text('branch', /^[\w./-]+$/, 'a branch is due', 'main'),
    told: {
      ...Object.fromEntries(
        Object.entries(variables).filter((entry): entry is [string, string] => /^IOTLAKE_[A-Z_]+$/.test(entry[0])),
      ),
      IOTLAKE_ENVIRONMENT: environment,
    },
  };
  if (problems.length > 0) throw new Error(`settings of the pipeline:\n${problems.join('\n')}`);
  return settings;
}
