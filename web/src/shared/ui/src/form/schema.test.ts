import { expect, it } from "vitest";

import { declaredName, fieldName, hasPlace, problemsAt, sampleOf, shapeOf, valueAt, withValue } from "./schema.ts";
import { fittingUnit, measureOf, parseAny, showAny, splitQuantity } from "./units.ts";

const SCHEMA = {
  type: "object",
  required: ["targets", "kind"],
  properties: {
    kind: { const: "chat" },
    model: { anyOf: [{ type: "string", pattern: "^a" }, { type: "null" }], default: null, description: "What callers write." },
    targets: { type: "array", items: { $ref: "#/$defs/Target" }, minItems: 1, maxItems: 32 },
    cache: { anyOf: [{ $ref: "#/$defs/Cache" }, { type: "null" }], default: null, description: "Off if null." },
    env: { type: "object", additionalProperties: { type: "string" } },
    mapping: { type: "object", patternProperties: { "^a": { type: "string" } } },
    value: {},
    either: { anyOf: [{ type: "string" }, { type: "number" }] },
  },
  $defs: {
    Target: { type: "object", description: "One of them.", required: ["weight"], properties: { weight: { type: "integer", minimum: 0, default: 1 }, name: { type: "string" } } },
    Cache: { type: "object", properties: { ttl_seconds: { type: "number", exclusiveMinimum: 0, default: 300 } } },
  },
};
const shape = (name: keyof typeof SCHEMA.properties) => shapeOf(SCHEMA.properties[name], SCHEMA);

it("offers what a schema suggests, for one text and for each of a list", () => {
  const suggested = { type: "string", "x-suggests": "Model" };
  expect(shapeOf(suggested, {})).toMatchObject({ type: "text", suggests: "Model" });
  expect(shapeOf({ anyOf: [{ type: "array", items: suggested }, { type: "null" }] }, {})).toMatchObject({ type: "list", item: suggested });
});

it("reads what Pydantic writes", () => {
  expect(shape("model")).toMatchObject({ type: "text", nullable: true, default: null, pattern: "^a", description: "What callers write." });
  expect(shape("cache")).toMatchObject({ type: "object", nullable: true, description: "Off if null.", fields: [{ name: "ttl_seconds", required: false }] });
  expect(shape("kind")).toMatchObject({ type: "choice", options: ["chat"] });
  expect(shape("env")).toMatchObject({ type: "map", item: { type: "string" } });
  expect(shape("mapping")).toMatchObject({ type: "map", item: { type: "string" } });
  expect([shape("value").type, shape("either").type]).toEqual(["any", "any"]);
});

it("begins with what is required, and no more", () => {
  expect(sampleOf(SCHEMA, SCHEMA)).toEqual({ kind: "chat", targets: [{ weight: 1 }] });
});

it("writes into a document without touching the rest", () => {
  const before = { targets: [{ weight: 1 }, { weight: 2 }], cache: null };
  const after = withValue(before, ["targets", 1, "weight"], 5) as typeof before;
  expect(valueAt(after, ["targets", 1, "weight"])).toBe(5);
  expect([after.targets[0], before.targets[1]]).toEqual([{ weight: 1 }, { weight: 2 }]);
  expect(withValue(after, ["cache"], undefined)).toEqual({ targets: after.targets });
});

it("names fields as the API does", () => {
  expect(fieldName(["targets", 0, "weight"])).toBe("targets[0].weight");
  expect(declaredName(["upstreams", 3, "auth", "credential"])).toBe("upstreams[].auth.credential");
});

it("puts problems beside their fields, and finds those that have none", () => {
  const problems = [
    { field: "targets[0].weight", problem: "is negative", remedy: "use 0" },
    { field: "env.HOME", problem: "is not known" },
  ];
  expect(problemsAt(problems, "targets[0].weight")).toBe("is negative; use 0");
  expect(problemsAt(problems, "targets")).toBeUndefined();
  expect(problemsAt(problems, "env", true)).toBe("HOME: is not known");
  expect(["targets[0].weight", "targets", "env.HOME", "colour", "targets[0].colour", ""].map((field) => hasPlace(SCHEMA, SCHEMA, field))).toEqual([
    true, true, true, false, false, false,
  ]);
});

it("counts in units that people use", () => {
  const time = measureOf("drain_seconds");
  expect(time?.type).toBe("scaled");
  const units = time?.type === "scaled" ? time.units : [];
  expect([600, 86_400, 90, 0, null].map((value) => fittingUnit(value, units).id)).toEqual(["min", "d", "s", "s", "s"]);
  expect([measureOf("retention_days")?.type, measureOf("sample_rate")?.type, measureOf("name")]).toEqual(["fixed", "fraction", null]);
  const memory = measureOf("memory", "quantity-memory");
  const quantities = memory?.type === "quantity" ? memory.units : [];
  expect(["512Mi", "2G", "1073741824", "", "much"].map((text) => splitQuantity(text, quantities))).toEqual([
    { number: "512", unit: "Mi" }, { number: "2", unit: "G" }, { number: "1073741824", unit: "" }, { number: "", unit: "Mi" }, { number: "much", unit: "" },
  ]);
});

it("keeps any JSON what it is", () => {
  expect(["8", "8 cores", "true", '"8"', "", '{"a": 1}'].map(parseAny)).toEqual([8, "8 cores", true, "8", undefined, { a: 1 }]);
  for (const value of [8, "8", "eight", true, null, [1], { a: 1 }]) expect(parseAny(showAny(value))).toEqual(value);
});
