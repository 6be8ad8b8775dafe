import { expect, it } from "vitest";

import { findProblems } from "./validate.ts";

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["spec"],
  properties: {
    spec: {
      type: "object",
      additionalProperties: false,
      required: ["name"],
      properties: { name: { type: "string" }, replicas: { type: "integer", minimum: 0 } },
    },
  },
};

it("finds nothing wrong with what the schema allows", () => {
  expect(findProblems("spec:\n  name: chat\n  replicas: 2\n", SCHEMA)).toEqual([]);
});

it("points at the field that is wrong", () => {
  const text = "spec:\n  name: chat\n  replicas: -1\n";
  const [problem] = findProblems(text, SCHEMA);
  expect(text.slice(problem?.from, problem?.to)).toBe("replicas");
  expect(problem?.message).toContain("spec.replicas");
});

it("names a field that there is none of, and one that is missing", () => {
  expect(findProblems("spec:\n  name: a\n  color: red\n", SCHEMA).map((one) => one.message)).toContain("color is not a field here: remove it");
  expect(findProblems("spec: {}\n", SCHEMA)[0]?.message).toContain("name");
});

it("says where the YAML itself is broken", () => {
  expect(findProblems("spec: [1,\n", SCHEMA).length).toBeGreaterThan(0);
});
