import { expect, it } from "vitest";

import { merged } from "./pages.ts";

const BY = { id: (item: { id: string }) => item.id, at: (item: { at: string }) => item.at };
const made = (id: string, at: string, number: number | null = null) => ({ id, at, number });

it("puts what came before what is known, each once", () => {
  const known = [made("b", "12:01"), made("a", "12:00")];
  expect(merged([made("c", "12:02"), made("b", "12:01")], known, BY).map(({ id }) => id)).toEqual(["c", "b", "a"]);
});

it("keeps the order of time where something was told late", () => {
  const known = [made("b", "12:05"), made("a", "12:00")];
  expect(merged([made("late", "12:03")], known, BY).map(({ id }) => id)).toEqual(["b", "late", "a"]);
});

it("shows an item as it was told last", () => {
  expect(merged([made("a", "12:00", 7)], [made("a", "12:00")], BY)).toEqual([made("a", "12:00", 7)]);
});
