/** Which rows of a list are shown, and in which order. */
import type { ReactNode } from "react";

import { scoreOne } from "./search.ts";

type Value = string | number | null | undefined;

export interface Column<T> {
  id: string;
  label: string;
  /** What is sorted and filtered by; numbers sort as numbers. */
  value: (row: T) => Value;
  cell?: (row: T) => ReactNode;
  /** A CSS grid track; `minmax(8rem, 1fr)` when left out. */
  width?: string;
  align?: "right";
  /** Values to choose from above the list. */
  options?: readonly string[];
  /** Left out on narrow screens. */
  secondary?: boolean;
}

export interface TableState {
  text: string;
  sort: string;
  filters: Record<string, string>;
}

export const emptyState: TableState = { text: "", sort: "", filters: {} };

export const isFiltered = (state: TableState): boolean => state.text !== "" || Object.values(state.filters).some(Boolean);

/** The rows that pass the filters, in the order that is asked for. `-age` sorts downwards; what has no value is last. */
export function arrange<T>(rows: readonly T[], columns: readonly Column<T>[], state: TableState): T[] {
  const byId = new Map(columns.map((column) => [column.id, column]));
  const typed = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = Object.entries(state.filters).filter(([id, value]) => value && byId.has(id));
  const kept = rows.filter((row) => {
    if (chosen.some(([id, value]) => String(byId.get(id)?.value(row) ?? "") !== value)) return false;
    if (typed.length === 0) return true;
    const text = columns.map((column) => column.value(row) ?? "").join(" ").toLowerCase();
    return typed.every((word) => (word.length > 2 ? scoreOne(word, text) >= 4 : text.includes(word)));
  });
  const down = state.sort.startsWith("-");
  const column = byId.get(down ? state.sort.slice(1) : state.sort);
  return column ? sorted(kept, column, down) : kept;
}

/** Each value is asked for once, not at every comparison. */
function sorted<T>(rows: T[], column: Column<T>, down: boolean): T[] {
  const valued = rows.map((row) => ({ row, value: column.value(row) ?? null }));
  return valued.sort((a, b) => compare(a.value, b.value, down)).map(({ row }) => row);
}

const collator = new Intl.Collator("en", { numeric: true });

function compare(a: string | number | null, b: string | number | null, down: boolean): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  const order = typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
  return down ? -order : order;
}
