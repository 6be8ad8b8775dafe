import { expect, it } from "vitest";

import { besideOf, firstOf, modelsFor } from "./models.ts";
import type { Model } from "./models.ts";

const SCOPE = "acme.shop.eu";
const model = (id: string, phase = "Running", changes: Partial<Model> = {}): Model => ({
  id, phase, kind: "endpoint", scope: SCOPE, name: id, task: "text-generation", allowed: true, ...changes,
});

it("offers what is for the task, or of what nobody knows it, and may be called; what is here first", () => {
  const models = [
    model("above", "Ready", { scope: "acme.shop", task: null }),
    model("embeds", "Running", { task: "text-embedding" }),
    model("forbidden", "Running", { allowed: false }),
    model("here"),
  ];
  expect(modelsFor("chat", SCOPE, models).map(({ id }) => id)).toEqual(["here", "above"]);
  expect(modelsFor("embedding", SCOPE, models).map(({ id }) => id)).toEqual(["embeds", "above"]);
});

it("begins with what answers now", () => {
  expect(firstOf([model("a", "Failed"), model("b", "Idle"), model("c", "Running")])).toBe("c");
  expect(firstOf([model("a", "Failed"), model("b", "Idle")])).toBe("b");
  expect(firstOf([])).toBe("");
});

it("compares with what answers: of what is not there yet nobody knows what it is for", () => {
  expect(besideOf([model("a", "Pending"), model("b", "Running")], "b")).toBe("b");
  expect(besideOf([model("a", "Pending"), model("b", "Running"), model("c", "Idle")], "b")).toBe("c");
});
