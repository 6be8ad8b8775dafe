import { expect, it } from "vitest";

import { arrange } from "./arrange.ts";
import type { Column } from "./arrange.ts";

interface Row {
  name: string;
  phase: string;
  size: number | null;
}
const ROWS: Row[] = [
  { name: "chat-10", phase: "Running", size: 3 },
  { name: "chat-9", phase: "Failed", size: null },
  { name: "embed", phase: "Running", size: 20 },
];
const COLUMNS: Column<Row>[] = [
  { id: "name", label: "Name", value: (row) => row.name },
  { id: "phase", label: "Phase", value: (row) => row.phase },
  { id: "size", label: "Size", value: (row) => row.size },
];
const names = (sort: string, text = "", filters = {}) => arrange(ROWS, COLUMNS, { sort, text, filters }).map((row) => row.name);

it("sorts numbers as numbers, numbers in names too, and puts what has no value last", () => {
  expect(names("name")).toEqual(["chat-9", "chat-10", "embed"]);
  expect(names("size")).toEqual(["chat-10", "embed", "chat-9"]);
  expect(names("-size")).toEqual(["embed", "chat-10", "chat-9"]);
  expect(names("-name")).toEqual(["embed", "chat-10", "chat-9"]);
});

it("filters by words in any column, and by a column's value", () => {
  expect(names("", "chat run")).toEqual(["chat-10"]);
  expect(names("", "", { phase: "Failed" })).toEqual(["chat-9"]);
  expect(names("", "zzz")).toEqual([]);
});
