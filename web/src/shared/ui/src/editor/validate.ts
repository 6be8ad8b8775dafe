/** What is wrong with a YAML document, and where: its syntax first, then what its JSON schema does not allow. */
import { Validator } from "@cfworker/json-schema";
import { LineCounter, isMap, isScalar, parseDocument } from "yaml";
import type { Document, Node, Pair } from "yaml";

export type JsonSchema = Record<string, unknown>;

export interface Problem {
  from: number;
  to: number;
  severity: "error";
  message: string;
}

export function findProblems(text: string, schema: JsonSchema): Problem[] {
  const parsed = parseDocument(text, { lineCounter: new LineCounter() });
  if (parsed.errors.length > 0) {
    return parsed.errors.map((error) => ({ ...range(error.pos, text), severity: "error", message: error.message.split("\n")[0] ?? "" }));
  }
  const result = new Validator(schema, "2020-12", false).validate(parsed.toJS());
  return leaves(result.errors).map((error) => ({
    ...range(locate(parsed, error.instanceLocation, error), text),
    severity: "error",
    message: describe(error),
  }));
}

interface SchemaError {
  instanceLocation: string;
  keyword: string;
  error: string;
}

/** Errors that only repeat that something below is wrong are left out. */
function leaves(errors: SchemaError[]): SchemaError[] {
  const summing = new Set(["properties", "items", "$ref", "additionalProperties", "anyOf", "allOf", "oneOf", "prefixItems"]);
  const telling = errors.filter((error) => !summing.has(error.keyword) || /does not match additional properties/i.test(error.error));
  const shown = telling.length > 0 ? telling : errors.slice(-1);
  return shown.filter((error, index) => shown.findIndex((other) => describe(other) === describe(error)) === index);
}

function describe(error: SchemaError): string {
  const field = error.instanceLocation.replace(/^#\/?/, "").replaceAll("/", ".");
  const unknown = /Property "([^"]+)" does not match additional properties/i.exec(error.error);
  if (unknown) return `${unknown[1] ?? ""} is not a field here: remove it`;
  return field ? `${field}: ${error.error}` : error.error;
}

function locate(parsed: Document, pointer: string, error: SchemaError): [number, number] {
  const unknown = /Property "([^"]+)" does not match additional properties/i.exec(error.error)?.[1];
  const steps = pointer.replace(/^#\/?/, "").split("/").filter(Boolean).map((step) => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~"));
  const path = unknown ? [...steps, unknown] : steps;
  for (let depth = path.length; depth > 0; depth -= 1) {
    const key = findKey(parsed.contents, path.slice(0, depth));
    if (key?.range) return [key.range[0], key.range[1]];
  }
  return [0, 1];
}

/** The key's node (or the element's) at a path. */
function findKey(node: unknown, path: string[]): Node | null {
  const [step, ...rest] = path;
  if (step === undefined) return (node as Node | null) ?? null;
  if (isMap(node)) {
    const pair = node.items.find((item: Pair) => isScalar(item.key) && String(item.key.value) === step);
    if (!pair) return null;
    return rest.length === 0 ? (pair.key as Node) : findKey(pair.value, rest);
  }
  const items = (node as { items?: unknown[] } | null)?.items;
  return items ? findKey(items[Number(step)], rest) : null;
}

const range = ([from, to]: readonly [number, number], text: string) => ({
  from: Math.min(from, text.length),
  to: Math.min(Math.max(to, from + 1), text.length),
});
