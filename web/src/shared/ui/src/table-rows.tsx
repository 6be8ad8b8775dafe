/** The rows in sight of a long list, and walking through them by keyboard. */
import { memo, useEffect, useMemo, useRef, useState } from "react";
import type { KeyboardEvent, ReactNode, SyntheticEvent } from "react";

import type { Column } from "./arrange.ts";
import { cx } from "./classes.ts";
import { Icon } from "./icons.tsx";
import { usePreferences } from "./prefs.ts";
import { bringToSight, useSight } from "./sight.ts";
import { hold, settle } from "./slots.ts";
import type { Slot } from "./slots.ts";
import { isTyping } from "./typing.ts";
import { t } from "./words.ts";

interface RowsProps<T> {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  rowKey: (row: T) => string;
  sort: string;
  onSort: (sort: string) => void;
  onOpen?: (row: T) => void;
  hrefOf?: (row: T) => string;
  /** Called with the last row that is drawn. */
  onNear: (last: number) => void;
  more: boolean;
}

/** Letters that fit the narrowest column. */
const SHORT = 12;
const TRACK = "minmax(8rem, 1fr)";
const STEPS: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity };
const ROW_ID = "row-";
const ACTIONS = "button, input, select, a:not([tabindex='-1'])";

export function Rows<T>({ label, rows, columns, rowKey, sort, onSort, onOpen, hrefOf, onNear, more }: RowsProps<T>) {
  const scroller = useRef<HTMLDivElement>(null);
  const [activeKey, setActiveKey] = useState("");
  // the row that was chosen, wherever changes have moved it
  const active = useMemo(() => Math.max(0, rows.findIndex((row) => rowKey(row) === activeKey)), [rows, rowKey, activeKey]);
  const height = usePreferences().density === "compact" ? 34 : 44;
  const tracks = columns.map((column) => column.width ?? TRACK).join(" ");
  const { first, end, moving } = useSight(scroller, rows.length, height);
  const seen = new Map(rows.slice(first, end).map((row, at) => [rowKey(row), first + at]));
  const { slots, onTouch } = useSlots([...seen.keys()], moving);
  useEffect(() => {
    onNear(end - 1);
  }, [end, onNear]);

  const walk = (event: KeyboardEvent) => {
    const grid = scroller.current;
    // what is pressed in a menu, a dialog or a button of a row is theirs
    if (!grid || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target !== grid) {
      const leaves = (event.key === "Escape" || event.key === "ArrowLeft") && !isTyping(event.target);
      if (leaves && grid.contains(event.target as Node) && (event.target as Element).closest("[role=row]")) grid.focus();
      return;
    }
    const row = rows[active];
    const step = STEPS[event.key];
    if (event.key === "Enter" && row) onOpen?.(row);
    else if (event.key === "ArrowRight" && row) document.getElementById(`${ROW_ID}${rowKey(row)}`)?.querySelector<HTMLElement>(ACTIONS)?.focus();
    else if (step !== undefined && rows.length > 0) {
      const next = Math.max(0, Math.min(rows.length - 1, active + step));
      setActiveKey(rowKey(rows[next] as T));
      bringToSight(grid, next, height);
    } else return;
    event.preventDefault();
  };
  return (
    <div
      ref={scroller}
      role="grid"
      tabIndex={0}
      aria-label={label}
      aria-rowcount={more ? -1 : rows.length + 1}
      aria-colcount={columns.length}
      aria-activedescendant={rows[active] ? `${ROW_ID}${rowKey(rows[active])}` : undefined}
      onKeyDown={walk}
      className="group/grid thin-scroll relative min-h-0 overflow-auto bg-panel outline-none will-change-scroll"
    >
      <div role="presentation" style={{ minWidth: leastWidth(columns) }} className={more ? undefined : "-mb-px"}>
        <div role="row" aria-rowindex={1} style={{ gridTemplateColumns: tracks }} className="sticky top-0 z-10 grid border-b border-line bg-panel">
          {columns.map((column) => (
            <HeadCell key={column.id} column={column} sort={sort} onSort={onSort} />
          ))}
        </div>
        <div
          role="presentation"
          onPointerDownCapture={onTouch}
          onFocusCapture={onTouch}
          onClickCapture={onTouch}
          style={{ height: rows.length * height }}
          className="relative"
        >
          {slots.map(({ id, key }) => {
            const index = seen.get(key) as number;
            return (
              <Row
                key={id}
                id={key}
                row={rows[index]}
                columns={columns as readonly Column<unknown>[]}
                index={index}
                tracks={tracks}
                height={height}
                active={index === active}
                onActive={setActiveKey}
                onOpen={onOpen as ((row: unknown) => void) | undefined}
                hrefOf={hrefOf as ((row: unknown) => string) | undefined}
              />
            );
          })}
        </div>
      </div>
      {rows.length === 0 && <p className="sticky left-0 px-4 py-8 text-center text-sm text-muted">{t(more ? "loadingMore" : "nothingMatches")}</p>}
      {more && rows.length > 0 && <p className="sticky left-0 px-4 py-2 text-xs text-faint">{t("loadingMore")}</p>}
    </div>
  );
}

/** The boxes of the rows in sight; `onTouch` keeps the one in which something happened for its row. */
function useSlots(keys: readonly string[], moving: boolean) {
  const [before, setSlots] = useState<readonly Slot[]>([]);
  const slots = settle(before, keys, moving);
  if (slots !== before) setSlots(slots);
  const onTouch = ({ target }: SyntheticEvent) => {
    const row = (target as Element).closest("[role=row]");
    if (row) setSlots((now) => hold(now, row.id.slice(ROW_ID.length)));
  };
  return { slots, onTouch };
}

/** The least that every column asks for, so that rows are as wide as the head where they do not fit. */
const leastWidth = (columns: readonly { width?: string }[]): string =>
  `calc(${columns.map(({ width = TRACK }) => /^minmax\(([^,]+),/.exec(width)?.[1] ?? (/^[\d.]+(rem|px)$/.test(width) ? width : "8rem")).join(" + ")})`;

interface RowProps {
  id: string;
  row: unknown;
  columns: readonly Column<unknown>[];
  index: number;
  tracks: string;
  height: number;
  active: boolean;
  onActive: (id: string) => void;
  onOpen: ((row: unknown) => void) | undefined;
  hrefOf: ((row: unknown) => string) | undefined;
}

/** Drawn once, and again where it takes another row. */
const Row = memo(function Row({ id, row, columns, index, tracks, height, active, onActive, onOpen, hrefOf }: RowProps) {
  return (
    <div
      id={`${ROW_ID}${id}`}
      role="row"
      aria-rowindex={index + 2}
      style={{ gridTemplateColumns: tracks, height, top: index * height }}
      onClick={(event) => {
        onActive(id);
        // what a cell opens elsewhere, a menu or a dialog, is not a click on the row
        if (!event.currentTarget.contains(event.target as Node) || isInteractive(event.target) || isSelecting()) return;
        onOpen?.(row);
      }}
      className={cx(
        "absolute inset-x-0 grid items-center border-b border-line text-sm contain-strict",
        onOpen && "cursor-pointer hover:bg-hover",
        active && "group-focus-visible/grid:bg-hover group-focus-visible/grid:shadow-[inset_2px_0_var(--accent)]",
      )}
    >
      {columns.map((column, at) => (
        <div key={column.id} role="gridcell" className={cx("px-3 whitespace-nowrap", mayOverflow(column, row) && "clip-line", column.align === "right" && "nums text-right")}>
          {at === 0 && hrefOf ? (
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
});

function HeadCell<T>({ column, sort, onSort }: { column: Column<T>; sort: string; onSort: (sort: string) => void }) {
  const up = sort === column.id;
  const down = sort === `-${column.id}`;
  if (!column.label) return <div role="columnheader" className="px-3" />;
  return (
    <div role="columnheader" aria-sort={up ? "ascending" : down ? "descending" : "none"} className="min-w-0 px-3">
      <button
        type="button"
        aria-label={t("sortBy", { column: column.label })}
        onClick={() => onSort(up ? `-${column.id}` : down ? "" : column.id)}
        className={cx(
          "flex h-8 w-full items-center gap-1 text-xs font-medium whitespace-nowrap text-muted hover:text-ink",
          column.align === "right" && "justify-end",
        )}
      >
        <span className="clip-line">{column.label}</span>
        {(up || down) && <Icon name="down" size={12} className={up ? "rotate-180" : ""} />}
      </button>
    </div>
  );
}

const shownCell = (column: Column<unknown>, row: unknown): ReactNode => {
  if (column.cell) return column.cell(row);
  const value = column.value(row);
  return value === null || value === undefined || value === "" ? <span className="text-faint">–</span> : value;
};

/** What is short is not cut off: a browser paints each cell that it may have to cut off by itself. */
function mayOverflow(column: Column<unknown>, row: unknown): boolean {
  const value = column.value(row);
  if (value === null || value === undefined || typeof value === "number") return false;
  return column.cell !== undefined || value.length > SHORT;
}

const isInteractive = (target: EventTarget): boolean => target instanceof Element && target.closest("a,button,input,select,label,dialog") !== null;

/** Marking text in a row, to copy it, does not open the row. */
const isSelecting = (): boolean => (getSelection()?.toString() ?? "") !== "";
