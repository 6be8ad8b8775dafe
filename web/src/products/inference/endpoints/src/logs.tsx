/** What the replicas write, as they write it. */
import { apiAddress, authorized, tell } from "@ironworks/sdk";
import { Callout, Select } from "@ironworks/ui";
import { LineStore, LogView } from "@ironworks/ui/log";
import { useEffect, useMemo, useState } from "react";

import { PLURAL } from "./types.ts";
import type { Replica } from "./types.ts";
import { t } from "./words.ts";

const TAIL = 10_000;
const DRAW_MS = 100;

interface LogsProps {
  at: string;
  name: string;
  replicas: readonly Replica[];
}

export function Logs({ at, name, replicas }: LogsProps) {
  const [replica, setReplica] = useState("");
  const { lines, version, ended, problem } = useLog(at, name, replica);
  return (
    <div className="flex flex-col gap-2">
      {problem && <Callout tone="bad">{problem}</Callout>}
      <LogView
        label={t("logs")}
        lines={lines}
        version={version}
        file={`${at}-${name}${replica && `-${replica}`}.log`}
        tools={
          <>
            {replicas.length > 1 && (
              <Select aria-label={t("replica")} value={replica} onChange={(event) => setReplica(event.target.value)}>
                <option value="">{t("allReplicas")}</option>
                {replicas.map((one) => (
                  <option key={one.name} value={one.name}>
                    {one.name}
                  </option>
                ))}
              </Select>
            )}
            {ended && <span className="text-xs text-faint">{t("logsEnded")}</span>}
          </>
        }
      />
    </div>
  );
}

interface Log {
  lines: LineStore;
  version: number;
  ended: boolean;
  problem: string;
}

function useLog(at: string, name: string, replica: string): Log {
  const source = `${apiAddress(PLURAL, at, name)}/logs?follow=true&tail=${TAIL}${replica && `&replica=${encodeURIComponent(replica)}`}`;
  const lines = useMemo(() => new LineStore(), [source]); // eslint-disable-line react-hooks/exhaustive-deps -- another source is another log
  const [state, setState] = useState({ version: 0, ended: false, problem: "" });
  useEffect(() => {
    const stop = new AbortController();
    const draw = (more: string[]) => {
      lines.add(more);
      setState((before) => ({ ...before, version: before.version + 1 }));
    };
    setState({ version: 0, ended: false, problem: "" });
    void (async () => {
      try {
        const response = await authorized(source, { signal: stop.signal });
        if (!response.ok || !response.body) throw new Error(`${response.status}`);
        await read(response.body, draw);
        setState((before) => ({ ...before, ended: true }));
      } catch (error) {
        if (!stop.signal.aborted) setState((before) => ({ ...before, ended: true, problem: tell(error) }));
      }
    })();
    return () => stop.abort();
  }, [source, lines]);
  return { lines, ...state };
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
