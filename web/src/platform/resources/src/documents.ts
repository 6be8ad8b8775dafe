/** Documents as people write them: from a resource, from nothing, and the schema they must meet. */
import type { Document, KindDetail, Resource } from "@ironworks/sdk";
import { loadYaml } from "@ironworks/ui";
import { sampleOf } from "@ironworks/ui/form";
import type { JsonSchema } from "@ironworks/ui/form";

import { t } from "./words.ts";

/** What an editor shows of a resource; the version has a faster writer noticed. */
export function documentOf(resource: Resource): Document {
  const { name, scope, display_name, labels, annotations, resource_version } = resource.metadata;
  return {
    api_version: "v1",
    kind: resource.kind,
    metadata: {
      name,
      scope,
      ...(display_name && { display_name }),
      ...(Object.keys(labels).length > 0 && { labels }),
      ...(Object.keys(annotations).length > 0 && { annotations }),
      resource_version,
    },
    spec: resource.spec,
  };
}

export async function toYaml(value: unknown): Promise<string> {
  const { stringifyYaml } = await loadYaml();
  return stringifyYaml(value, { lineWidth: 0 });
}

export async function fromYaml(text: string): Promise<Document> {
  const { parseYaml } = await loadYaml();
  return parseYaml(text) as Document;
}

/** A document that a form can show. Raises Error where the text is none. */
export async function readDocument(text: string): Promise<Document> {
  const read = (await fromYaml(text)) as Partial<Document> | null;
  if (typeof read !== "object" || read === null || Array.isArray(read)) throw new Error(t("noDocument"));
  const { metadata, spec } = read;
  if (typeof (metadata ?? {}) !== "object" || typeof (spec ?? {}) !== "object") throw new Error(t("noDocument"));
  return { ...read, metadata: metadata ?? { name: "" }, spec: spec ?? {} } as Document;
}

/** `text` with what `value` says otherwise; comments and the order of everything else stay. */
export async function rewrite(text: string, value: unknown): Promise<string> {
  const { parseYamlDocument } = await loadYaml();
  const document = parseYamlDocument(text);
  if (document.errors.length > 0 || !isObject(document.toJS())) return toYaml(value);
  for (const { path, next } of differences(document.toJS(), value)) {
    if (next === undefined) document.deleteIn(path);
    else document.setIn(path, document.createNode(next));
  }
  return document.toString({ lineWidth: 0 });
}

interface Change {
  path: (string | number)[];
  next: unknown;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

function differences(before: unknown, after: unknown, path: (string | number)[] = []): Change[] {
  if (isObject(before) && isObject(after)) {
    return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) => differences(before[key], after[key], [...path, key]));
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    return after.flatMap((one, index) => differences(before[index], one, [...path, index]));
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, next: after }];
}

const NAME = { type: "string", pattern: "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" };
const TEXTS = { type: "object", additionalProperties: { type: "string" } };

const METADATA = {
  type: "object",
  additionalProperties: false,
  required: ["name"],
  properties: {
    name: { ...NAME, description: t("nameHint") },
    display_name: { type: ["string", "null"], maxLength: 128 },
    labels: TEXTS,
    annotations: TEXTS,
  },
};

/** What people write of a resource's metadata, for a form. */
export const METADATA_SCHEMA: JsonSchema = METADATA;

/** The JSON schema of a whole document of the kind. */
export function schemaOf(kind: KindDetail): JsonSchema {
  const { $defs = {}, ...spec } = kind.spec_schema;
  return {
    type: "object",
    additionalProperties: false,
    required: ["kind", "metadata", "spec"],
    properties: {
      api_version: { const: "v1" },
      kind: { const: kind.name },
      metadata: { ...METADATA, properties: { ...METADATA.properties, scope: { type: "string" }, resource_version: { type: "integer" } } },
      spec,
    },
    $defs,
  };
}

/** A first document: what is required, with something to replace. */
export function skeleton(kind: KindDetail, scope: string): Document {
  return {
    api_version: "v1",
    kind: kind.name,
    metadata: { name: `my-${kind.name.replace(/([a-z0-9])([A-Z])/g, "$1-$2").toLowerCase()}`, scope },
    spec: sampleOf(kind.spec_schema, kind.spec_schema) as Record<string, unknown>,
  };
}
