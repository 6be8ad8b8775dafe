/**
 * A list of any length: only the rows in sight are in the document. Arrow keys walk, Enter opens, `/` filters; columns
 * sort and filter, and what is chosen belongs to the caller, who keeps it in the address of the page.
 */
import { useEffect, useMemo, useRef } from "react";
import type { ReactNode, RefObject } from "react";

import { arrange, isFiltered } from "./arrange.ts";
import type { Column, TableState } from "./arrange.ts";
import { cx } from "./classes.ts";
import { Icon } from "./icons.tsx";
import { Failure, Loading } from "./layout.tsx";
import { useNarrow } from "./narrow.ts";
import { Rows } from "./table-rows.tsx";
import { isTyping } from "./typing.ts";
import { t } from "./words.ts";

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
  /** Why there is nothing to show; an empty list and one that cannot be read are two things. */
  error?: Error | null;
  empty: ReactNode;
  /** There are more rows than these: `onEnd` is called for the next of them, and for all where they are sorted or filtered. */
  more?: boolean;
  onEnd?: () => void;
  tools?: ReactNode;
}

/** Pixels: what a list takes at least where the page around it is full, if it has so many rows; its head; a row. */
const LEAST = 360;
const TOOLS = 76;
const ROW = 34;
/** How many rows before the end the next ones are asked for. */
const AHEAD = 150;

export function DataTable<T>(props: TableProps<T>) {
  const { label, rows, rowKey, state, onState, onOpen, hrefOf, loading, error, empty, onEnd, more = false, tools } = props;
  const narrow = useNarrow();
  const columns = useMemo(() => (narrow ? props.columns.filter((column) => !column.secondary) : props.columns), [narrow, props.columns]);
  const shown = useMemo(() => arrange(rows, props.columns, state), [rows, props.columns, state]);
  const filtered = isFiltered(state);
  const whole = filtered || state.sort !== "";
  useEffect(() => {
    if (more && whole) onEnd?.();
  }, [more, whole, onEnd, rows.length]);

  if (error && rows.length === 0) {
    return (
      <div className="panel">
        <Failure error={error} />
      </div>
    );
  }
  if (!loading && rows.length === 0 && !filtered) return <div className="panel">{empty}</div>;
  return (
    <div style={{ minHeight: Math.min(LEAST, TOOLS + shown.length * ROW) }} className="panel flex flex-col overflow-hidden">
      <div className="flex flex-wrap items-center gap-2 border-b border-line px-2 py-1.5">
        <TextFilter text={state.text} onText={(text) => onState({ ...state, text })} />
        {props.columns
          .filter((column) => column.options)
          .map((column) => (
            <ColumnFilter key={column.id} column={column} state={state} onState={onState} />
          ))}
        {tools}
        <span aria-live="polite" className="nums px-1.5 text-xs text-faint">
          {filtered && shown.length < rows.length ? t("rowsOf", { shown: shown.length, count: rows.length }) : t("rows", { count: shown.length })}
          {more && "+"}
        </span>
      </div>
      {loading ? (
        <Loading lines={8} />
      ) : (
        <Rows
          {...{ label, rowKey, columns, more }}
          rows={shown}
          sort={state.sort}
          onSort={(sort) => onState({ ...state, sort })}
          onNear={(last) => {
            if (more && last >= rows.length - AHEAD) onEnd?.();
          }}
          {...(onOpen && { onOpen })}
          {...(hrefOf && { hrefOf })}
        />
      )}
    </div>
  );
}

/** What is typed filters; `/` goes there, Escape empties it, the arrow goes down to the rows. */
function TextFilter({ text, onText }: { text: string; onText: (text: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  useFilterKey(input);
  return (
    <label className="flex h-7 min-w-40 flex-1 items-center gap-2 rounded-md px-1.5 focus-within:bg-canvas">
      <Icon name="search" size={13} className="text-faint" />
      <span className="sr-only">{t("filter")}</span>
      <input
        ref={input}
        value={text}
        placeholder={`${t("filter")}…`}
        onChange={(event) => onText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") onText("");
          if (event.key !== "ArrowDown") return;
          event.preventDefault();
          event.currentTarget.closest(".panel")?.querySelector<HTMLElement>("[role=grid]")?.focus();
        }}
        className="w-full bg-transparent text-sm outline-none placeholder:text-faint"
      />
      <kbd aria-hidden className="rounded-sm border border-line px-1 text-2xs text-faint max-sm:hidden">
        /
      </kbd>
    </label>
  );
}

function useFilterKey(input: RefObject<HTMLInputElement | null>): void {
  useEffect(() => {
    const focus = (event: globalThis.KeyboardEvent) => {
      if (event.key !== "/" || isTyping(event.target)) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, [input]);
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
