/**
 * What was typed, and how a command ends.
 *
 * In come words of a command line; out come named values, or a message that names the option that is wrong. Every
 * command ends with one of the codes of {@link Exit}, which are those of the `iotlake` command line where they mean the
 * same.
 */
import { parseArgs } from 'node:util';

/** How a command ends. */
export enum Exit {
  Done = 0,
  Failed = 1,
  Usage = 2,
  /** Done, and what it looked for is there: differences, or something that remains to be done. */
  Findings = 3,
}

/** A command line that cannot be meant so; nothing was done. */
export class UsageError extends Error {}

/** A failure that somebody can do something about. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}

/** An option of a command: `--name VALUE`, or `--name` alone for a flag. */
export interface Option {
  readonly flag?: boolean;
  /** Whether the command cannot do without it. */
  readonly required?: boolean;
  readonly fallback?: string;
  readonly meaning: string;
}

/** The options of a command, by name. */
export type Options = Readonly<Record<string, Option>>;

/** What a command line says: values by name of option, flags apart. */
export class Arguments {
  constructor(
    private readonly values: ReadonlyMap<string, string>,
    private readonly flags: ReadonlySet<string>,
  ) {}

  /** The value of a required option, or of one with a default. */
  get(name: string): string {
    const value = this.values.get(name);
    if (value === undefined) throw new UsageError(`--${name} is missing`);
    return value;
  }

  /** The value of an option that may be missing. */
  find(name: string): string | undefined {
    return this.values.get(name);
  }

  /** Whether a flag was given. */
  has(name: string): boolean {
    return this.flags.has(name);
  }
}

/** Reads a command line; an unknown option, or a required one that is missing, is a {@link UsageError}. */
export function read(words: readonly string[], options: Options): Arguments {
  const config = Object.fromEntries(
    Object.entries(options).map(([name, option]) => [
      name,
      { type: option.flag === true ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  let parsed: Record<string, string | boolean | undefined>;
  try {
    parsed = parseArgs({ args: [...words], options: config, strict: true, allowPositionals: false }).values as Record<
      string,
      string | boolean | undefined
    >;
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
  const values = new Map<string, string>();
  const flags = new Set<string>();
  for (const [name, option] of Object.entries(options)) {
    const value = parsed[name] ?? option.fallback;
    if (value === true) flags.add(name);
    else if (typeof value === 'string' && value !== '') values.set(name, value);
    else if (option.required === true) throw new UsageError(`--${name} is missing: ${option.meaning}`);
  }
  return new Arguments(values, flags);
}

/** How the command is called, for `--help` and for mistakes. */
export function usage(command: string, about: string, options: Options): string {
  const lines = Object.entries(options).map(([name, option]) => {
    const shown = `--${name}${option.flag === true ? '' : ' VALUE'}`;
    const fallback = option.fallback === undefined ? '' : ` (default ${option.fallback})`;
    return `  ${shown.padEnd(28)} ${option.meaning}${fallback}`;
  });
  return [`npm run ${command} -- [options]`, '', about, '', ...lines].join('\n');
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Runs a command and ends the process as it says. Failures go to standard error, with their hint. */
export function main(
  command: string,
  about: string,
  options: Options,
  run: (parsed: Arguments) => Promise<Exit>,
): void {
  const words = process.argv.slice(2);
  if (words.includes('--help')) {
    console.log(usage(command, about, options));
    return;
  }
  Promise.resolve()
    .then(() => run(read(words, options)))
    .catch((error: unknown) => {
      console.error(`error: ${describe(error)}`);
      if (error instanceof Failure && error.hint !== undefined) console.error(`hint: ${error.hint}`);
      if (error instanceof UsageError) console.error(`\n${usage(command, about, options)}`);
      return error instanceof UsageError ? Exit.Usage : Exit.Failed;
    })
    .then((exit) => {
      process.exitCode = exit;
    });
}

/** The error with the name AWS gave it, which is what one searches for. */
function describe(error: unknown): string {
  const ours = error instanceof Failure || error instanceof UsageError;
  if (ours || !(error instanceof Error) || error.name === 'Error') return messageOf(error);
  return `${error.name}: ${error.message}`;
}
