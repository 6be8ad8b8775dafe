import { describe, expect, it } from "vitest";

import { hold, settle } from "./slots.ts";
import type { Slot } from "./slots.ts";

const rows = (from: number, end: number) => Array.from({ length: end - from }, (_, at) => `row-${from + at}`);
const keysOf = (slots: readonly Slot[]) => slots.map((slot) => slot.key);
const idOf = (slots: readonly Slot[], key: string) => slots.find((slot) => slot.key === key)?.id;

describe("settle, while the list moves", () => {
  it("gives the boxes of rows that left to those that come, and leaves the others alone", () => {
    const before = settle([], rows(0, 4), false);
    const after = settle(before, rows(2, 6), true);
    expect(keysOf(after)).toEqual(["row-4", "row-5", "row-2", "row-3"]);
    expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    expect(after[2]).toBe(before[2]);
  });

  it("makes boxes for more rows than before, and lets those go that nobody needs", () => {
    const few = settle([], rows(0, 2), false);
    expect(keysOf(settle(few, rows(1, 4), true))).toEqual(["row-2", "row-1", "row-3"]);
    expect(keysOf(settle(settle([], rows(0, 4), false), rows(3, 5), true))).toEqual(["row-4", "row-3"]);
  });

  it("never gives the box of a row that was touched to another one", () => {
    const before = hold(settle([], rows(0, 3), false), "row-2");
    const after = settle(before, rows(3, 6), true);
    expect(keysOf(after).sort()).toEqual(rows(3, 6));
    expect(after.map(({ id }) => id)).not.toContain(idOf(before, "row-2"));
  });
});

describe("settle, once the list rests", () => {
  it("brings the boxes into the order of the rows, moving none that stood in it", () => {
    const before = settle([], rows(4, 8), false);
    const moved = settle(before, rows(2, 6), true);
    const after = settle(moved, rows(2, 6), false);
    expect(keysOf(after)).toEqual(rows(2, 6));
    expect(after.slice(2)).toEqual(before.slice(0, 2));
    const fresh = after.slice(0, 2).map(({ id }) => id);
    expect(before.map(({ id }) => id).filter((id) => fresh.includes(id))).toEqual([]);
  });

  it("keeps the box of a row that was touched since it came", () => {
    const moved = hold(settle(settle([], rows(0, 3), false), rows(2, 5), true), "row-3");
    const after = settle(moved, rows(2, 5), false);
    expect(idOf(after, "row-3")).toBe(idOf(moved, "row-3"));
    expect(after.every(({ lent }) => !lent)).toBe(true);
  });

  it("draws rows that others took the place of in boxes of their own", () => {
    const before = settle([], rows(0, 3), false);
    const after = settle(before, ["new", "row-0", "row-1"], false);
    expect(after.slice(1)).toEqual(before.slice(0, 2));
    expect(before.map(({ id }) => id)).not.toContain(after[0]?.id);
  });

  it("is done after one step, also where a list has one row twice", () => {
    for (const moving of [true, false]) {
      for (const keys of [rows(2, 6), ["a", "a", "b"], []]) {
        const once = settle(settle([], rows(0, 4), false), keys, moving);
        expect(settle(once, keys, moving)).toBe(once);
      }
    }
  });
});
