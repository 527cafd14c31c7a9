/**
 * A synthesized template, as rules ask it: resources by type, and values with references in them.
 *
 * Values are compared as CloudFormation would see them: a reference is the same wherever it is written. Nothing here
 * knows what any resource is for.
 */

/** Whatever stands in a template. */
export type Value = string | number | boolean | null | undefined | readonly Value[] | { readonly [key: string]: Value };

/** A resource of a template. */
export interface Resource {
  readonly id: string;
  readonly type: string;
  readonly properties: { readonly [key: string]: Value };
  readonly deletionPolicy: string;
}

/** A statement of a policy, with its lists as lists. */
export interface Statement {
  readonly effect: string;
  readonly actions: readonly string[];
  readonly resources: readonly Value[];
  readonly services: readonly string[];
  readonly conditions: { readonly [operator: string]: { readonly [key: string]: Value } };
}

interface Body {
  readonly Resources?: {
    readonly [id: string]: {
      readonly Type: string;
      readonly Properties?: { readonly [key: string]: Value };
      readonly DeletionPolicy?: string;
    };
  };
  readonly Outputs?: { readonly [id: string]: { readonly Export?: { readonly Name: Value } } };
  readonly Parameters?: { readonly [id: string]: { readonly AllowedPattern?: string; readonly Default?: Value } };
}

export class Template {
  readonly resources: readonly Resource[];

  constructor(
    readonly name: string,
    private readonly body: object,
  ) {
    this.resources = Object.entries((body as Body).Resources ?? {}).map(([id, resource]) => ({
      id,
      type: resource.Type,
      properties: resource.Properties ?? {},
      deletionPolicy: resource.DeletionPolicy ?? 'Delete',
    }));
  }

  /** The resources of a type, or of several. */
  of(...types: string[]): Resource[] {
    return this.resources.filter(({ type }) => types.includes(type));
  }

  /** The resource that a value is a reference to, by `Ref` or `Fn::GetAtt`. */
  target(value: Value): Resource | undefined {
    const id = referenced(value);
    return id === undefined ? undefined : this.resources.find((resource) => resource.id === id);
  }

  /** Names of exports, references in angle brackets. */
  get exports(): string[] {
    return Object.values((this.body as Body).Outputs ?? {}).flatMap((output) =>
      output.Export === undefined ? [] : [text(output.Export.Name)],
    );
  }

  /** The pattern that values of a parameter have to match, if it is one. */
  pattern(parameter: string): RegExp | undefined {
    const found = (this.body as Body).Parameters?.[parameter]?.AllowedPattern;
    return found === undefined ? undefined : new RegExp(`^(?:${found})$`);
  }
}

/** A value that may be one or several, as a list. */
export function list(value: Value): readonly Value[] {
  if (Array.isArray(value)) return value as readonly Value[];
  return value === undefined ? [] : [value];
}

/** A part of an object by its path; `undefined` where there is none. */
export function at(value: Value, ...path: (string | number)[]): Value {
  return path.reduce<Value>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null ? (inner as { [key: string]: Value })[key] : undefined,
    value,
  );
}

/** The logical id that a value refers to. */
function referenced(value: Value): string | undefined {
  const ref = at(value, 'Ref');
  if (typeof ref === 'string') return ref;
  const attribute = at(value, 'Fn::GetAtt', 0);
  return typeof attribute === 'string' ? attribute : undefined;
}

/** A value as one text: what is joined is joined, what is only known when it is deployed stands in angle brackets. */
export function text(value: Value): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const parts = at(value, 'Fn::Join', 1);
  if (Array.isArray(parts)) return (parts as Value[]).map(text).join(String(at(value, 'Fn::Join', 0)));
  const id = referenced(value);
  return id === undefined ? JSON.stringify(value) : `<${id}>`;
}

/** The statements of a policy document. */
export function statements(document: Value): Statement[] {
  return list(at(document, 'Statement')).map((statement) => ({
    effect: text(at(statement, 'Effect')),
    actions: list(at(statement, 'Action')).map(text),
    resources: list(at(statement, 'Resource')),
    services: list(at(statement, 'Principal', 'Service')).map(text),
    conditions: (at(statement, 'Condition') ?? {}) as Statement['conditions'],
  }));
}

/** Every object within a value, itself included. */
export function* within(value: Value): Generator<{ readonly [key: string]: Value }> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield value as { readonly [key: string]: Value };
  for (const inner of Object.values(value)) yield* within(inner as Value);
}
