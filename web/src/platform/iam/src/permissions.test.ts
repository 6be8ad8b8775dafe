import { describe, expect, it } from "vitest";

import { difference, linesOf } from "./permissions.ts";

describe("permissions as a table", () => {
  it("has a line for each resource and a place for each usual verb", () => {
    expect(linesOf(["endpoint:update", "endpoint:invoke", "endpoint:read", "api-key:rotate", "endpoint:read"])).toEqual([
      { resource: "api-key", usual: [null, null, null, null], others: ["api-key:rotate"] },
      { resource: "endpoint", usual: ["endpoint:read", null, "endpoint:update", null], others: ["endpoint:invoke"] },
    ]);
  });

  it("tells what a change adds and takes", () => {
    expect(difference(["a:read", "b:read"], ["b:read", "c:read"])).toEqual({ added: ["c:read"], removed: ["a:read"] });
  });
});
