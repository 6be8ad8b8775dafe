import { expect, it } from "vitest";

import { closest, norm, similarities, similarity } from "./vectors.ts";

it("measures length and direction", () => {
  expect(norm([3, 4])).toBe(5);
  expect(similarity([1, 0], [2, 0])).toBe(1);
  expect(similarity([1, 0], [0, 1])).toBe(0);
  expect(similarity([1, 0], [-1, 0])).toBe(-1);
  expect(similarity([0, 0], [1, 0])).toBe(0);
});

it("finds the two that are closest, and none among one", () => {
  expect(closest(similarities([[1, 0], [0, 1], [0.1, 1]]))).toMatchObject({ a: 1, b: 2 });
  expect(closest(similarities([[1, 0]]))).toBeNull();
});
