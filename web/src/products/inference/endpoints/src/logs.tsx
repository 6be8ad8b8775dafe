/** What the replicas write, as they write it; the last lines alone are kept. */
import { apiAddress, authorized, tell } from "@ironworks/sdk";
import { Callout } from "@ironworks/ui";
import { useEffect, useRef, useState } from "react";

import { PLURAL } from "./types.ts";
import { t } from "./words.ts";

const KEPT = 2_000;
const DRAW_MS = 100;

export function Logs({ at, name }: { at: string; name: string }) {
  const [lines, setLines] = useState<string[]>([]);
  const [state, setState] = useState<{ ended: boolean; problem: string }>({ ended: false, problem: "" });
  const box = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const stop = new AbortController();
    void (async () => {
      try {
        const response = await authorized(`${apiAddress(PLURAL, at, name)}/logs?follow=true&tail=500`, { signal: stop.signal });
        if (!response.ok || !response.body) throw new Error(`${response.status}`);
        await read(response.body, (more) => setLines((before) => [...before, ...more].slice(-KEPT)));
        setState({ ended: true, problem: "" });
      } catch (error) {
        if (!stop.signal.aborted) setState({ ended: true, problem: tell(error) });
      }
    })();
    return () => stop.abort();
  }, [at, name]);
  useEffect(() => {
    const element = box.current;
    if (element && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [lines]);
  return (
    <div className="flex flex-col gap-2">
      {state.problem && <Callout tone="bad">{state.problem}</Callout>}
      <p className="text-xs text-faint">{state.ended ? t("logsEnded") : t("follow")}</p>
      <pre
        ref={box}
        tabIndex={0}
        aria-label={t("logs")}
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
          atEnd.current = scrollTop + clientHeight > scrollHeight - 24;
        }}
        className="thin-scroll h-[60vh] overflow-auto rounded-md border border-line bg-canvas p-3 font-mono text-xs leading-5 break-words whitespace-pre-wrap"
      >
        {lines.length > 0 ? lines.join("\n") : <span className="text-faint">{t("noLogs")}</span>}
      </pre>
    </div>
  );
}

/** Hands on whole lines, a few times a second at most. */
async function read(body: ReadableStream<Uint8Array>, onLines: (lines: string[]) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  let waiting: string[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const draw = () => {
    timer = undefined;
    onLines(waiting);
    waiting = [];
  };
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    waiting.push(...lines);
    timer ??= setTimeout(draw, DRAW_MS);
  }
  clearTimeout(timer);
  onLines(rest ? [...waiting, rest] : waiting);
}
