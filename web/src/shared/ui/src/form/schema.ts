/**
 * What a JSON schema says of one value, as a form needs it.
 *
 * Schemas are those that kinds have (Pydantic writes them): `$ref` into `$defs`, `anyOf` with null for what may be left
 * out. What a form cannot show as fields (any JSON, several types at once) is of the type `any`.
 */
export type JsonSchema = Record<string, unknown>;
export type Step = string | number;
export type Path = readonly Step[];

export interface FieldSchema {
  name: string;
  schema: JsonSchema;
  required: boolean;
}

interface Common {
  description: string;
  nullable: boolean;
  default: unknown;
}

export type Shape = Common &
  (
    | { type: "text"; format: string; pattern: string; longest: number | null; suggests: string }
    | { type: "number"; whole: boolean; least: number | null; most: number | null }
    | { type: "boolean" }
    | { type: "choice"; options: (string | number)[] }
    | { type: "object"; fields: FieldSchema[] }
    | { type: "list"; item: JsonSchema; least: number; most: number | null }
    | { type: "map"; item: JsonSchema }
    | { type: "any" }
  );

/** The schema that a `$ref` names, with what stands beside it; `null` as one of several types is taken out. */
function flatten(schema: JsonSchema, root: JsonSchema): { schema: JsonSchema; nullable: boolean } {
  const { $ref, ...beside } = schema;
  if (typeof $ref === "string") {
    const found = $ref.replace(/^#\//, "").split("/").reduce<unknown>((value, step) => (value as JsonSchema | undefined)?.[step], root);
    return flatten({ ...(found as JsonSchema | undefined), ...beside }, root);
  }
  const several = (schema["anyOf"] ?? schema["oneOf"]) as JsonSchema[] | undefined;
  if (Array.isArray(several)) {
    const real = several.filter((one) => one["type"] !== "null");
    const [only] = real;
    if (real.length !== 1 || !only) return { schema: { ...beside, type: undefined }, nullable: real.length < several.length };
    const inner = flatten({ ...only, ...without(beside, "anyOf", "oneOf") }, root);
    return { schema: inner.schema, nullable: inner.nullable || real.length < several.length };
  }
  const types = schema["type"];
  if (Array.isArray(types)) {
    const real = types.filter((one) => one !== "null");
    return { schema: { ...schema, type: real.length === 1 ? real[0] : undefined }, nullable: real.length < types.length };
  }
  return { schema, nullable: false };
}

const without = (schema: JsonSchema, ...names: string[]): JsonSchema => Object.fromEntries(Object.entries(schema).filter(([name]) => !names.includes(name)));

const numberOr = <T>(value: unknown, fallback: T): number | T => (typeof value === "number" ? value : fallback);
const textOr = (value: unknown): string => (typeof value === "string" ? value : "");

export function shapeOf(given: JsonSchema, root: JsonSchema): Shape {
  const { schema, nullable } = flatten(given, root);
  const common: Common = { description: textOr(schema["description"]), nullable, default: schema["default"] };
  const options = "const" in schema ? [schema["const"]] : schema["enum"];
  if (Array.isArray(options)) return { ...common, type: "choice", options: options.filter((one) => one !== null) as (string | number)[] };
  switch (schema["type"]) {
    case "string":
      return { ...common, type: "text", format: textOr(schema["format"]), pattern: textOr(schema["pattern"]), longest: numberOr(schema["maxLength"], null), suggests: textOr(schema["x-suggests"]) };
    case "integer":
    case "number":
      return {
        ...common,
        type: "number",
        whole: schema["type"] === "integer",
        least: numberOr(schema["minimum"], numberOr(schema["exclusiveMinimum"], null)),
        most: numberOr(schema["maximum"], numberOr(schema["exclusiveMaximum"], null)),
      };
    case "boolean":
      return { ...common, type: "boolean" };
    case "array":
      return { ...common, type: "list", item: (schema["items"] ?? {}) as JsonSchema, least: numberOr(schema["minItems"], 0), most: numberOr(schema["maxItems"], null) };
    case "object":
      return objectShape(schema, common);
    default:
      return { ...common, type: "any" };
  }
}

function objectShape(schema: JsonSchema, common: Common): Shape {
  const properties = schema["properties"] as Record<string, JsonSchema> | undefined;
  if (!properties) {
    // what keys must be like is told by patternProperties, where Pydantic was given a pattern for them
    const patterned = Object.values((schema["patternProperties"] ?? {}) as Record<string, JsonSchema>)[0];
    const additional = schema["additionalProperties"];
    return { ...common, type: "map", item: patterned ?? (typeof additional === "object" && additional !== null ? (additional as JsonSchema) : {}) };
  }
  const required = new Set((schema["required"] ?? []) as string[]);
  const fields = Object.entries(properties).map(([name, inner]) => ({ name, schema: inner, required: required.has(name) }));
  return { ...common, type: "object", fields };
}

/** A first value: what is required, with something to replace. */
export function sampleOf(given: JsonSchema, root: JsonSchema): unknown {
  const shape = shapeOf(given, root);
  if (shape.default !== undefined) return shape.default;
  switch (shape.type) {
    case "choice":
      return shape.options[0];
    case "object":
      return beginningOf(shape.fields, root);
    case "list":
      return shape.least > 0 ? [sampleOf(shape.item, root)] : [];
    case "map":
      return {};
    case "number":
      return shape.least ?? 1;
    case "boolean":
      return false;
    case "text":
      return "";
    default:
      return null;
  }
}

/** An object that begins: what is required of it, and no more. */
export const beginningOf = (fields: readonly FieldSchema[], root: JsonSchema): Record<string, unknown> =>
  Object.fromEntries(fields.filter((field) => field.required).map((field) => [field.name, sampleOf(field.schema, root)]));

/** `["targets", 0, "weight"]` as the API names it: `targets[0].weight`. */
export const fieldName = (path: Path): string =>
  path.reduce<string>((text, step) => (typeof step === "number" ? `${text}[${step}]` : text ? `${text}.${step}` : step), "");

/** The same for every element of a list, as kinds declare references and secrets: `targets[].weight`. */
export const declaredName = (path: Path): string => fieldName(path).replace(/\[\d+\]/g, "[]");

export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, step) => (at as Record<Step, unknown> | null | undefined)?.[step], value);
}

/** A copy with another value at `path`; `undefined` takes a field out. */
export function withValue(value: unknown, path: Path, next: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return next;
  if (typeof step === "number") {
    const copy = Array.isArray(value) ? [...(value as unknown[])] : [];
    copy[step] = withValue(copy[step], rest, next);
    return copy;
  }
  const held = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  const inner = withValue(held[step], rest, next);
  return inner === undefined ? without(held, step) : { ...held, [step]: inner };
}

export interface Problem {
  field: string;
  problem: string;
  remedy?: string;
}

export const tellProblem = ({ problem, remedy }: Problem): string => [problem, remedy].filter(Boolean).join("; ");

/** What is wrong with a field, and, `within` it, with anything that has no field of its own. */
export function problemsAt(problems: readonly Problem[], name: string, within = false): string | undefined {
  const found = problems.filter(({ field }) => field === name || (within && (field.startsWith(`${name}.`) || field.startsWith(`${name}[`))));
  return found.length > 0 ? found.map((one) => (one.field === name ? tellProblem(one) : `${one.field.slice(name.length).replace(/^\./, "")}: ${tellProblem(one)}`)).join("\n") : undefined;
}

/** Whether the form shows a place for a problem with `field`; what has none is told above it. */
export function hasPlace(schema: JsonSchema, root: JsonSchema, field: string): boolean {
  const steps = field.match(/[^.[\]]+/g) ?? [];
  return steps.length > 0 && leadsTo(schema, root, steps);
}

function leadsTo(schema: JsonSchema, root: JsonSchema, steps: string[]): boolean {
  const [step, ...rest] = steps;
  if (step === undefined) return true;
  const shape = shapeOf(schema, root);
  if (shape.type === "object") {
    const field = shape.fields.find((one) => one.name === step);
    return field !== undefined && leadsTo(field.schema, root, rest);
  }
  if (shape.type === "list") return leadsTo(shape.item, root, rest);
  return true; // whatever stands below is told by the field that holds it
}
