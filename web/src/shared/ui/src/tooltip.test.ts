import { expect, it } from "vitest";

import { placeFor } from "./tooltip.tsx";

const ROOM = { width: 360, height: 740 };
const SIZE = { width: 120, height: 30 };
const at = (left: number, top: number) => placeFor({ left, top, bottom: top + 20, width: 40 }, SIZE, ROOM);

it("lies above, in the middle of what it tells of", () => {
  expect(at(100, 200)).toEqual({ left: 60, top: 164 });
});

it("lies below where there is no room above", () => {
  expect(at(100, 10).top).toBe(36);
});

it("never leaves the window", () => {
  expect(at(0, 200).left).toBe(8);
  expect(at(350, 200).left).toBe(232);
});
