/**
 * A log as it is written: colours, search, the newest line in sight until one scrolls away. Only the lines in sight are
 * in the document, as text, so that they can be marked, read aloud and found by the browser like any other.
 */
import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import type { KeyboardEvent, ReactNode } from "react";

import { Button, IconButton } from "../button.tsx";
import { cx } from "../classes.ts";
import { copyText } from "../code.tsx";
import { saveFile } from "../files.ts";
import { Icon } from "../icons.tsx";
import { notify } from "../toast.tsx";
import type { Span } from "./ansi.ts";
import type { LineStore } from "./lines.ts";
import { t } from "./words.ts";

interface LogViewProps {
  label: string;
  lines: LineStore;
  /** Changes whenever lines have come. */
  version: number;
  /** What the downloaded file is called. */
  file: string;
  tools?: ReactNode;
}

const LINE = 20;
const NEAR_END = 24;

export function LogView({ label, lines, version, file, tools }: LogViewProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [follow, setFollow] = useState(true);
  const [wrap, setWrap] = useState(true);
  const search = useSearch(lines, version);
  const { dropped } = lines;
  const count = lines.length;
  const virtual = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE,
    paddingStart: 4,
    paddingEnd: 8,
    overscan: 20,
    getItemKey: useCallback((index: number) => dropped + index, [dropped]),
  });
  useEffect(() => {
    if (follow && count > 0) virtual.scrollToIndex(count - 1, { align: "end" });
  }, [follow, count, version, virtual]);
  useEffect(() => virtual.measure(), [wrap, virtual]);
  const { current } = search;
  useEffect(() => {
    if (current === null) return;
    setFollow(false);
    virtual.scrollToIndex(current, { align: "center" });
  }, [current, virtual]);

  const leave = (event: KeyboardEvent) => {
    if (["ArrowUp", "PageUp", "Home"].includes(event.key)) setFollow(false);
    if (event.key !== "/") return;
    event.preventDefault();
    search.input.current?.focus();
  };
  const copy = async () => {
    await copyText(lines.text());
    notify("ok", t("copied", { count }));
  };
  return (
    <div className="panel flex min-h-0 flex-col overflow-hidden">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b border-line px-2 py-1.5">
        <SearchBox search={search} />
        {tools}
        <Check label={t("follow")} checked={follow} onChange={setFollow} />
        <Check label={t("wrap")} checked={wrap} onChange={setWrap} />
        <span className="nums text-xs text-faint">{t(dropped > 0 ? "linesKept" : "lines", { count })}</span>
        <span className="ml-auto flex">
          <IconButton size="small" icon="copy" label={t("copyAll")} disabled={count === 0} onClick={() => void copy()} />
          <IconButton size="small" icon="download" label={t("save")} disabled={count === 0} onClick={() => saveFile(file, lines.text(), "text/plain")} />
        </span>
      </div>
      <div className="relative">
        <div
          ref={scroller}
          role="log"
          aria-live="off"
          aria-label={label}
          tabIndex={0}
          onKeyDown={leave}
          onWheel={(event) => event.deltaY < 0 && setFollow(false)}
          onTouchMove={() => setFollow(false)}
          onPointerDown={(event) => event.target === event.currentTarget && setFollow(false)}
          onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
            if (scrollTop + clientHeight > scrollHeight - NEAR_END) setFollow(true);
          }}
          className="thin-scroll h-[62vh] overflow-auto bg-canvas font-mono text-xs leading-5 [overflow-anchor:none]"
        >
          <div style={{ height: virtual.getTotalSize() }} className={cx("relative", !wrap && "min-w-fit")}>
            {virtual.getVirtualItems().map((item) => (
              <div
                key={item.key}
                ref={virtual.measureElement}
                data-index={item.index}
                style={{ transform: `translateY(${item.start}px)` }}
                className={cx(
                  "absolute top-0 left-0 min-h-5 min-w-full px-3",
                  wrap ? "w-full break-words whitespace-pre-wrap" : "whitespace-pre",
                  item.index === current && "bg-accent-soft",
                )}
              >
                <Line spans={lines.spansOf(item.index)} wanted={search.wanted} />
              </div>
            ))}
          </div>
          {count === 0 && <p className="px-3 py-2 text-faint">{t("empty")}</p>}
        </div>
        {!follow && count > 0 && (
          <Button small icon="down" className="absolute right-4 bottom-3 shadow-pop" onClick={() => setFollow(true)}>
            {t("toEnd")}
          </Button>
        )}
      </div>
    </div>
  );
}

function Line({ spans, wanted }: { spans: readonly Span[]; wanted: string }) {
  return spans.map(({ text, className }, index) => (
    <span key={index} className={className || undefined}>
      {wanted ? marked(text, wanted) : text}
    </span>
  ));
}

function marked(text: string, wanted: string): ReactNode {
  const parts: ReactNode[] = [];
  const lower = text.toLowerCase();
  let at = 0;
  for (let found = lower.indexOf(wanted); found >= 0; found = lower.indexOf(wanted, at)) {
    parts.push(text.slice(at, found));
    at = found + wanted.length;
    parts.push(
      <mark key={found} className="rounded-sm bg-warn-soft text-warn">
        {text.slice(found, at)}
      </mark>,
    );
  }
  return [...parts, text.slice(at)];
}

interface Search {
  input: React.RefObject<HTMLInputElement | null>;
  typed: string;
  setTyped: (typed: string) => void;
  /** In small letters. */
  wanted: string;
  hits: readonly number[];
  /** Which of the hits is shown. */
  at: number;
  current: number | null;
  step: (by: number) => void;
}

/** What is found follows what is written with a delay, so that typing stays quick beside 100,000 lines. */
function useSearch(lines: LineStore, version: number): Search {
  const input = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState("");
  /** The number of the line that is shown; it stays the same when older lines go. */
  const [chosen, setChosen] = useState<number | null>(null);
  const wanted = useDeferredValue(typed.toLowerCase());
  const seen = useDeferredValue(version);
  const hits = useMemo(() => (seen >= 0 ? lines.find(wanted) : []), [lines, wanted, seen]);
  const place = chosen === null ? -1 : hits.indexOf(chosen - lines.dropped);
  const step = (by: number) => {
    if (hits.length === 0) return;
    const from = place < 0 ? (by > 0 ? -1 : 0) : place;
    const hit = hits[(from + by + hits.length) % hits.length] ?? 0;
    setChosen(hit + lines.dropped);
  };
  return {
    input,
    typed,
    setTyped: (next) => {
      setTyped(next);
      setChosen(null);
    },
    wanted,
    hits,
    at: place,
    current: place < 0 ? null : (hits[place] ?? null),
    step,
  };
}

function SearchBox({ search }: { search: Search }) {
  const { typed, hits, at } = search;
  return (
    <div className="flex min-w-56 flex-1 items-center gap-1">
      <label className="flex h-7 min-w-0 flex-1 items-center gap-2 rounded-md px-1.5 focus-within:bg-canvas">
        <Icon name="search" size={13} className="text-faint" />
        <span className="sr-only">{t("search")}</span>
        <input
          ref={search.input}
          value={typed}
          placeholder={`${t("search")}…`}
          onChange={(event) => search.setTyped(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter") search.step(event.shiftKey ? -1 : 1);
            if (event.key === "Escape") search.setTyped("");
          }}
          className="w-full min-w-0 bg-transparent text-sm outline-none placeholder:text-faint"
        />
      </label>
      {typed && (
        <>
          <span aria-live="polite" className="nums text-xs whitespace-nowrap text-faint">
            {hits.length > 0 ? t("found", { at: at + 1, count: hits.length }) : t("foundNone")}
          </span>
          <IconButton size="tiny" icon="up" label={t("before")} onClick={() => search.step(-1)} />
          <IconButton size="tiny" icon="down" label={t("next")} onClick={() => search.step(1)} />
        </>
      )}
    </div>
  );
}

const Check = ({ label, checked, onChange }: { label: string; checked: boolean; onChange: (checked: boolean) => void }) => (
  <label className="flex items-center gap-1.5 text-xs text-muted">
    <input type="checkbox" className="accent-accent" checked={checked} onChange={(event) => onChange(event.target.checked)} />
    {label}
  </label>
);
