import { expect, it } from "vitest";

import { besideOf, firstOf, modelsAt } from "./models.ts";
import type { Endpoint, External, Model, Route } from "./models.ts";

const SCOPE = "acme.shop.eu";
const meta = (scope: string, name: string) => ({ metadata: { scope, name } });
const endpoint = (scope: string, name: string, task = "text-generation", phase = "Running") =>
  ({ ...meta(scope, name), spec: { model: {} }, status: { phase, model: { task } } }) as Endpoint;
const route = (scope: string, name: string, target: string, model: string | null = null) =>
  ({ ...meta(scope, name), spec: { model, targets: [{ endpoint: target }] }, status: { phase: "Ready" } }) as Route;
const external = (scope: string, name: string, ...models: string[]) =>
  ({
    ...meta(scope, name),
    spec: { upstreams: [{ model_mapping: Object.fromEntries(models.map((model) => [model, model])) }] },
    status: { phase: "Running" },
  }) as unknown as External;

it("names what is here, what is handed down and what lies below", () => {
  const found = modelsAt(
    SCOPE,
    [endpoint(SCOPE, "chat"), endpoint(`${SCOPE}.returns`, "chat")],
    [route("acme.shop", "best", "acme.shop.eu/chat", "gpt-4o.best"), route(`${SCOPE}.returns`, "own", "chat")],
    [external("acme", "providers", "gpt-4o"), external(`${SCOPE}.returns`, "deep", "m")],
  );
  expect(found.map(({ name, kind }) => `${kind} ${name}`)).toEqual([
    "endpoint chat",
    "endpoint acme.shop.eu.returns/chat",
    "external acme.shop.eu.returns/deep/m",
    "route acme.shop.eu.returns/own",
    "route gpt-4o.best",
    "external providers/gpt-4o",
  ]);
});

it("lets a route go before an endpoint of its name, and what is near before what is far", () => {
  const found = modelsAt(SCOPE, [endpoint(SCOPE, "chat")], [route(SCOPE, "x", "chat", "chat"), route("acme", "far", "a/b", "m"), route("acme.shop", "near", "a/b", "m")], []);
  expect(found.map(({ name, kind, at }) => [name, kind, at])).toEqual([
    ["chat", "route", SCOPE],
    ["m", "route", "acme.shop"],
  ]);
});

it("knows what a route is for by what it leads to", () => {
  const endpoints = [endpoint(SCOPE, "chat"), endpoint(SCOPE, "minilm", "text-embedding"), endpoint(SCOPE, "rank", "text-rerank")];
  const [embeds, mixed] = modelsAt(SCOPE, endpoints, [route(SCOPE, "a-embeds", "minilm"), { ...route(SCOPE, "b-mixed", "chat"), spec: { targets: [{ endpoint: "chat" }, { external: "p" }] } }], []);
  expect(embeds?.task).toBe("embedding");
  expect(mixed?.task).toBeNull();
  expect(modelsAt(SCOPE, endpoints, [], []).map(({ task }) => task)).toEqual(["chat", "embedding", "other"]);
});

it("begins with what answers now", () => {
  const model = (name: string, phase: string) => ({ name, phase }) as Model;
  expect(firstOf([model("a", "Failed"), model("b", "Idle"), model("c", "Running")])).toBe("c");
  expect(firstOf([model("a", "Failed"), model("b", "Idle")])).toBe("b");
  expect(firstOf([])).toBe("");
});

it("compares with what answers: of what is not there yet nobody knows what it is for", () => {
  const model = (name: string, phase: string) => ({ name, phase }) as Model;
  expect(besideOf([model("a", "Pending"), model("b", "Running")], "b")).toBe("b");
  expect(besideOf([model("a", "Pending"), model("b", "Running"), model("c", "Idle")], "b")).toBe("c");
});
