import type { KindDetail } from "@ironworks/sdk";
import { expect, it } from "vitest";

import { readDocument, rewrite, schemaOf, skeleton } from "./documents.ts";
import { columnName } from "./list.tsx";

const KIND = {
  name: "ExternalEndpoint", plural: "external-endpoints", short: "ee", description: "", domain: "tokenfactory.routing",
  levels: ["tenant"], inherited: true, node: false, columns: [], phases: [], immutable: [], references: {}, secrets: [],
  status_schema: {},
  spec_schema: {
    type: "object",
    required: ["url", "model"],
    properties: {
      url: { type: "string" },
      model: { $ref: "#/$defs/Model" },
      retries: { type: "integer", default: 3 },
    },
    $defs: { Model: { type: "object", required: ["name", "task"], properties: { name: { type: "string" }, task: { enum: ["chat", "embedding"] } } } },
  },
} satisfies KindDetail;

it("begins a document with what is required, and no more", () => {
  const made = skeleton(KIND, "acme.shop.eu");
  expect(made.metadata).toEqual({ name: "my-external-endpoint", scope: "acme.shop.eu" });
  expect(made.spec).toEqual({ url: "", model: { name: "", task: "chat" } });
});

it("lifts the definitions of a spec to where its references look", () => {
  expect(schemaOf(KIND)).toMatchObject({ $defs: KIND.spec_schema.$defs, properties: { kind: { const: "ExternalEndpoint" } } });
});

it("names columns after what they show", () => {
  expect(["spec.model.name", "status.ready_replicas", "spec.cluster"].map(columnName)).toEqual(["model", "ready_replicas", "cluster"]);
});

it("turns from the form to YAML without losing what was written there", async () => {
  const text = "# why it is so\nkind: Route\nmetadata:\n  name: best # the public one\nspec:\n  targets:\n    - endpoint: chat\n      weight: 1\n  tries: 3\n";
  const document = await readDocument(text);
  expect(await rewrite(text, document)).toBe(text);
  const changed = { ...document, spec: { targets: [{ endpoint: "chat", weight: 9 }], cache: { ttl_seconds: 60 } } };
  const after = await rewrite(text, changed);
  expect(await readDocument(after)).toEqual(changed);
  expect(after).toContain("# why it is so");
  expect(after).toContain("# the public one");
});

it("takes no text for a document that is none", async () => {
  for (const text of ["", "- a\n", "just words", "spec: 5\n"]) await expect(readDocument(text)).rejects.toThrow("no document");
  expect(await readDocument("kind: Route\n")).toMatchObject({ metadata: { name: "" }, spec: {} });
});
