/**
 * A list of any length: only the rows in sight are in the document. Arrow keys walk, Enter opens, `/` filters; columns
 * sort and filter, and what is chosen belongs to the caller, who keeps it in the address of the page.
 */
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import type { KeyboardEvent, ReactNode } from "react";

import { cx } from "./classes.ts";
import { Icon } from "./icons.tsx";
import { Loading } from "./layout.tsx";
import { usePreferences } from "./prefs.ts";
import { scoreOne } from "./search.ts";
import { t } from "./words.ts";

export interface Column<T> {
  id: string;
  label: string;
  /** What is sorted and filtered by; numbers sort as numbers. */
  value: (row: T) => string | number | null | undefined;
  cell?: (row: T) => ReactNode;
  /** A CSS grid track; `minmax(8rem, 1fr)` when left out. */
  width?: string;
  align?: "right";
  /** Values to choose from in the column's head. */
  options?: readonly string[];
  /** Left out on narrow screens. */
  secondary?: boolean;
}

export interface TableState {
  text: string;
  sort: string;
  filters: Record<string, string>;
}

interface TableProps<T> {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  rowKey: (row: T) => string;
  state: TableState;
  onState: (state: TableState) => void;
  onOpen?: (row: T) => void;
  /** The address of a row's page, so that it opens in a tab of its own like any link. */
  hrefOf?: (row: T) => string;
  loading?: boolean;
  empty: ReactNode;
  onEnd?: () => void;
  more?: boolean;
  tools?: ReactNode;
}

export const emptyState: TableState = { text: "", sort: "", filters: {} };

/** The rows that pass the filters, in the order that is asked for. `-age` sorts downwards. */
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
  if (!column) return kept;
  return kept.sort((a, b) => compare(column.value(a), column.value(b)) * (down ? -1 : 1));
}

type Value = string | number | null | undefined;

function compare(a: Value, b: Value): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (a == null || b == null) return a == null ? (b == null ? 0 : 1) : -1;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

export function DataTable<T>(props: TableProps<T>) {
  const { label, rows, columns, rowKey, state, onState, onOpen, loading, empty, onEnd, more, tools } = props;
  const shown = useMemo(() => arrange(rows, columns, state), [rows, columns, state]);
  const search = useRef<HTMLInputElement>(null);
  const tracks = columns.map((column) => column.width ?? "minmax(8rem, 1fr)").join(" ");
  const filtered = state.text !== "" || Object.values(state.filters).some(Boolean);

  useEffect(() => {
    const focus = (event: globalThis.KeyboardEvent) => {
      if (event.key !== "/" || isTyping(event.target)) return;
      event.preventDefault();
      search.current?.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);

  if (!loading && rows.length === 0 && !filtered) return <div className="panel">{empty}</div>;
  return (
    <div className="panel flex min-h-0 flex-1 flex-col overflow-hidden">
      <div className="flex flex-wrap items-center gap-2 border-b border-line px-2 py-1.5">
        <label className="flex h-7 min-w-40 flex-1 items-center gap-2 rounded-md px-1.5 focus-within:bg-canvas">
          <Icon name="search" size={13} className="text-faint" />
          <span className="sr-only">{t("filter")}</span>
          <input
            ref={search}
            value={state.text}
            placeholder={`${t("filter")}…`}
            onChange={(event) => onState({ ...state, text: event.target.value })}
            onKeyDown={(event) => event.key === "Escape" && onState({ ...state, text: "" })}
            className="w-full bg-transparent text-sm outline-none placeholder:text-faint"
          />
          <kbd aria-hidden className="rounded-sm border border-line px-1 text-2xs text-faint max-sm:hidden">
            /
          </kbd>
        </label>
        {columns
          .filter((column) => column.options)
          .map((column) => (
            <ColumnFilter key={column.id} column={column} state={state} onState={onState} />
          ))}
        {tools}
        <span aria-live="polite" className="nums px-1.5 text-xs text-faint">
          {t("rows", { count: shown.length })}
          {more && "+"}
        </span>
      </div>
      {loading ? (
        <Loading lines={8} />
      ) : (
        <Body
          {...{ label, rowKey, columns, tracks, state, onState }}
          rows={shown}
          more={more ?? false}
          {...(onOpen && { onOpen })}
          {...(props.hrefOf && { hrefOf: props.hrefOf })}
          {...(onEnd && { onEnd })}
        />
      )}
    </div>
  );
}

function ColumnFilter<T>({ column, state, onState }: { column: Column<T>; state: TableState; onState: (s: TableState) => void }) {
  const value = state.filters[column.id] ?? "";
  return (
    <select
      aria-label={t("anyValue", { column: column.label.toLowerCase() })}
      value={value}
      onChange={(event) => onState({ ...state, filters: { ...state.filters, [column.id]: event.target.value } })}
      className={cx(
        "h-7 max-w-40 rounded-md border bg-canvas px-1.5 text-xs hover:border-edge",
        value ? "border-accent text-ink" : "border-line text-muted",
      )}
    >
      <option value="">{t("anyValue", { column: column.label.toLowerCase() })}</option>
      {column.options?.map((option) => (
        <option key={option} value={option}>
          {option}
        </option>
      ))}
    </select>
  );
}

interface BodyProps<T> {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  rowKey: (row: T) => string;
  tracks: string;
  state: TableState;
  onState: (state: TableState) => void;
  onOpen?: (row: T) => void;
  hrefOf?: (row: T) => string;
  onEnd?: () => void;
  more: boolean;
}

function Body<T>({ label, rows, columns, rowKey, tracks, state, onState, onOpen, hrefOf, onEnd, more }: BodyProps<T>) {
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(0);
  const height = usePreferences().density === "compact" ? 34 : 44;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    overscan: 12,
    getItemKey: (index) => rowKey(rows[index] as T),
  });
  useEffect(() => virtual.measure(), [height, virtual]);
  const items = virtual.getVirtualItems();
  const lastShown = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && lastShown >= rows.length - 30) onEnd?.();
  }, [lastShown, rows.length, more, onEnd]);

  const walk = (event: KeyboardEvent) => {
    const steps: Record<string, number> = {
      ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 15, PageUp: -15, Home: -rows.length, End: rows.length,
    };
    const step = steps[event.key];
    const row = rows[active];
    if (event.key === "Enter" && row && event.target === scroller.current) onOpen?.(row);
    if (step === undefined || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(rows.length - 1, active + step));
    setActive(next);
    virtual.scrollToIndex(next);
  };
  return (
    <div
      ref={scroller}
      role="grid"
      tabIndex={0}
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-activedescendant={rows[active] ? `row-${rowKey(rows[active])}` : undefined}
      onKeyDown={walk}
      className="group/grid thin-scroll relative min-h-0 flex-1 overflow-auto outline-none"
    >
      <div role="row" aria-rowindex={1} style={{ gridTemplateColumns: tracks }} className="sticky top-0 z-10 grid min-w-fit border-b border-line bg-panel">
        {columns.map((column) => (
          <HeadCell key={column.id} column={column} sort={state.sort} onSort={(sort) => onState({ ...state, sort })} />
        ))}
      </div>
      <div style={{ height: virtual.getTotalSize() }} className="relative min-w-fit">
        {items.map((item) => {
          const row = rows[item.index] as T;
          const key = rowKey(row);
          return (
            <div
              key={key}
              id={`row-${key}`}
              role="row"
              aria-rowindex={item.index + 2}
              style={{ gridTemplateColumns: tracks, height: item.size, transform: `translateY(${item.start}px)` }}
              onClick={(event) => {
                setActive(item.index);
                // what a cell opens elsewhere, a menu or a dialog, is not a click on the row
                if (!event.currentTarget.contains(event.target as Node) || isInteractive(event.target)) return;
                onOpen?.(row);
              }}
              className={cx(
                "absolute inset-x-0 top-0 grid items-center border-b border-line text-sm",
                onOpen && "cursor-pointer hover:bg-hover",
                item.index === active && "group-focus-visible/grid:bg-hover group-focus-visible/grid:shadow-[inset_2px_0_var(--accent)]",
              )}
            >
              {columns.map((column, index) => (
                <div
                  key={column.id}
                  role="gridcell"
                  className={cx("clip-line px-3", column.align === "right" && "nums text-right")}
                >
                  {index === 0 && hrefOf ? (
                    <a
                      href={hrefOf(row)}
                      tabIndex={-1}
                      onClick={(event) => {
                        if (event.ctrlKey || event.metaKey || event.shiftKey || !onOpen) return;
                        event.preventDefault();
                        onOpen(row);
                      }}
                      className="font-medium hover:text-accent"
                    >
                      {shownCell(column, row)}
                    </a>
                  ) : (
                    shownCell(column, row)
                  )}
                </div>
              ))}
            </div>
          );
        })}
      </div>
      {rows.length === 0 && <p className="sticky left-0 px-4 py-8 text-center text-sm text-muted">{t("nothingMatches")}</p>}
      {more && <p className="sticky left-0 px-4 py-2 text-xs text-faint">{t("loadingMore")}</p>}
    </div>
  );
}

function HeadCell<T>({ column, sort, onSort }: { column: Column<T>; sort: string; onSort: (sort: string) => void }) {
  const up = sort === column.id;
  const down = sort === `-${column.id}`;
  return (
    <div role="columnheader" aria-sort={up ? "ascending" : down ? "descending" : "none"} className="px-3">
      <button
        type="button"
        aria-label={t("sortBy", { column: column.label })}
        onClick={() => onSort(up ? `-${column.id}` : down ? "" : column.id)}
        className={cx(
          "flex h-8 w-full items-center gap-1 text-xs font-medium whitespace-nowrap text-muted hover:text-ink",
          column.align === "right" && "justify-end",
        )}
      >
        {column.label}
        {(up || down) && <Icon name="down" size={12} className={up ? "rotate-180" : ""} />}
      </button>
    </div>
  );
}

const shownCell = <T,>(column: Column<T>, row: T): ReactNode => {
  if (column.cell) return column.cell(row);
  const value = column.value(row);
  return value === null || value === undefined || value === "" ? <span className="text-faint">–</span> : value;
};

export const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.shadowRoot !== null);

const isInteractive = (target: EventTarget): boolean => target instanceof Element && target.closest("a,button,input,select") !== null;
