import { expect, it } from "vitest";

import { isReserve, percent, sharesOf } from "./shares.ts";

const weights = (...all: number[]) => all.map((weight) => ({ endpoint: "chat", weight }));

it("tells weights as shares of the requests", () => {
  expect(sharesOf(weights(9, 1), "weighted")).toEqual([0.9, 0.1]);
  expect(sharesOf([{ endpoint: "a" }, { endpoint: "b" }, { endpoint: "c" }], "weighted").map((share) => percent(share ?? 0))).toEqual(["33.3 %", "33.3 %", "33.3 %"]);
});

it("gives no share to what waits for the others to fail, and tells none where weights do not decide", () => {
  const targets = weights(4, 0);
  expect(sharesOf(targets, "weighted")).toEqual([1, 0]);
  expect(sharesOf(targets, "least_loaded")).toEqual([null, 0]);
  expect(targets.map((target) => isReserve(target, targets))).toEqual([false, true]);
});

it("takes reserves alone for equals", () => {
  const targets = weights(0, 0);
  expect(sharesOf(targets, "weighted")).toEqual([0.5, 0.5]);
  expect(targets.some((target) => isReserve(target, targets))).toBe(false);
});
