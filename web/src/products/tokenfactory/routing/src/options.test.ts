import type { Resource } from "@ironworks/sdk";
import { expect, it } from "vitest";

import { exposedAs, specOf } from "./connection.ts";
import { inLine, leaves } from "./difference.ts";
import { encodeTarget, leadTo, targetOptions } from "./options.ts";
import { curlOf } from "./snippet.ts";
import type { External } from "./types.ts";

const made = (scope: string, name: string, spec: object = {}) => ({ metadata: { scope, name }, spec, status: { phase: "Running" } }) as unknown as Resource;
const mapping = (...names: string[]) => ({ model_mapping: Object.fromEntries(names.map((name) => [name, name])) });

it("offers endpoints and the models of providers, each as a route at that scope names it", () => {
  const options = targetOptions(
    [made("acme.shop.eu", "chat"), made("acme.shop.eu.returns", "embed")],
    [made("acme.shop", "providers", { upstreams: [mapping("gpt-4o", "o3"), mapping("gpt-4o")] }) as unknown as External],
    "acme.shop.eu",
  );
  expect(options.map(({ value }) => value)).toEqual([
    "endpoint chat", "endpoint acme.shop.eu.returns/embed", "external acme.shop/providers gpt-4o", "external acme.shop/providers o3",
  ]);
});

it("leads a target elsewhere, and forgets what the one before was told", () => {
  const target = { endpoint: "chat", weight: 3, served_as: "chat-v2", timeout_seconds: 30 };
  const led = leadTo(target, "external acme.shop/providers gpt-4o");
  expect(led).toMatchObject({ endpoint: null, external: "acme.shop/providers", model: "gpt-4o", weight: 3, served_as: null, timeout_seconds: 30 });
  expect(encodeTarget(led)).toBe("external acme.shop/providers gpt-4o");
  expect(encodeTarget(leadTo(led, "endpoint chat"))).toBe("endpoint chat");
});

it("makes names that callers may write of those that providers have", () => {
  expect(["gpt-4o", "llama3:8b", "my model (v2)", "~odd"].map(exposedAs)).toEqual(["gpt-4o", "llama3:8b", "my-model-v2-", "odd"]);
});

it("sends no credential where there is none", () => {
  const connection = { url: " https://api.example/v1 ", dialect: "openai", auth: "bearer", credential: "" } as const;
  const [upstream] = specOf(connection, [{ name: "a", called: "b" }]).upstreams;
  expect(upstream).toMatchObject({ url: "https://api.example/v1", auth: { type: "bearer" }, model_mapping: { a: "b" } });
  expect(upstream?.auth).not.toHaveProperty("credential");
});

it("tells how to call a model from a shell", () => {
  expect(curlOf("http://127.0.0.1:7080", "acme/best")).toContain(`curl http://127.0.0.1:7080/v1/chat/completions`);
});

it("shows of a list what differs in it", () => {
  const from = [{ endpoint: "chat", weight: 9, served_as: null }, { endpoint: "tiny", weight: 0 }];
  const to = [{ endpoint: "chat", weight: 4 }, { endpoint: "tiny", weight: 0 }, { endpoint: "more", weight: 1, price_as: null }];
  expect(leaves([{ field: "spec.targets", from, to }, { field: "spec.tries", from: 3, to: 2 }])).toEqual([
    { field: "spec.targets[0].weight", from: 9, to: 4 }, { field: "spec.targets[2]", from: undefined, to: to[2] }, { field: "spec.tries", from: 3, to: 2 },
  ]);
  expect([inLine(to[2]), inLine(null)]).toEqual(['{"endpoint":"more","weight":1}', "–"]);
});
