import { expect, it } from "vitest";

import { freeName } from "./names.ts";

it("counts on where a name is taken, and never gets too long", () => {
  expect(freeName("smollm2", [])).toBe("smollm2");
  expect(freeName("smollm2", ["smollm2", "smollm2-2"])).toBe("smollm2-3");
  const long = "a".repeat(63);
  expect(freeName(long, [long])).toBe(`${"a".repeat(61)}-2`);
});
