/** Documents as people write them: from a resource, from nothing, and the schema they must meet. */
import type { Document, KindDetail, Resource } from "@ironworks/sdk";
import { loadYaml } from "@ironworks/ui";

export type Schema = Record<string, unknown>;

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

const NAME = { type: "string", pattern: "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" };
const TEXTS = { type: "object", additionalProperties: { type: "string" } };

/** The JSON schema of a whole document of the kind. */
export function schemaOf(kind: KindDetail): Schema {
  const { $defs = {}, ...spec } = kind.spec_schema;
  return {
    type: "object",
    additionalProperties: false,
    required: ["kind", "metadata", "spec"],
    properties: {
      api_version: { const: "v1" },
      kind: { const: kind.name },
      metadata: {
        type: "object",
        additionalProperties: false,
        required: ["name"],
        properties: {
          name: NAME,
          scope: { type: "string" },
          display_name: { type: ["string", "null"] },
          labels: TEXTS,
          annotations: TEXTS,
          resource_version: { type: "integer" },
        },
      },
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
    spec: sample(kind.spec_schema, kind.spec_schema) as Record<string, unknown>,
  };
}

function sample(schema: Schema, root: Schema): unknown {
  const resolved = resolve(schema, root);
  if ("default" in resolved) return resolved["default"];
  if ("const" in resolved) return resolved["const"];
  const choices = resolved["enum"] ?? resolved["examples"];
  if (Array.isArray(choices)) return choices[0];
  const options = resolved["anyOf"] ?? resolved["oneOf"];
  if (Array.isArray(options)) return sample(options[0] as Schema, root);
  return sampleOfType(resolved, root);
}

function sampleOfType(schema: Schema, root: Schema): unknown {
  switch (schema["type"]) {
    case "object": {
      const properties = (schema["properties"] ?? {}) as Record<string, Schema>;
      const required = (schema["required"] ?? []) as string[];
      return Object.fromEntries(required.map((name) => [name, sample(properties[name] ?? {}, root)]));
    }
    case "array":
      return Number(schema["minItems"] ?? 0) > 0 ? [sample((schema["items"] ?? {}) as Schema, root)] : [];
    case "integer":
    case "number":
      return schema["minimum"] ?? 1;
    case "boolean":
      return false;
    default:
      return "";
  }
}

function resolve(schema: Schema, root: Schema): Schema {
  const reference = schema["$ref"];
  if (typeof reference !== "string") return schema;
  const found = reference.replace("#/", "").split("/").reduce<unknown>((value, step) => (value as Schema | undefined)?.[step], root);
  return { ...(found as Schema), ...schema, $ref: undefined };
}
