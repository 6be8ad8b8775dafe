/** Having the chains recomputed, and what came of it drawn: whole from the first to the last record, or where it breaks. */
import { request, tell, useBootstrap, useCan } from "@ironworks/sdk";
import { Button, Callout, Dialog, Icon, Id, cx, formatNumber } from "@ironworks/ui";
import { useEffect, useRef, useState } from "react";

import { anchorOf, chainsOf, noteAnchor } from "./chains.ts";
import type { Anchor, ChainReport } from "./chains.ts";
import { t } from "./words.ts";

export function VerifyButton({ scope }: { scope: string }) {
  const can = useCan();
  const bootstrap = useBootstrap();
  const [open, setOpen] = useState(false);
  const chains = chainsOf(scope, bootstrap, (at) => can("audit:verify", at));
  if (chains.length === 0) return null;
  return (
    <>
      <Button icon="verified" onClick={() => setOpen(true)}>
        {t("verify")}
      </Button>
      {open && <VerifyDialog chains={chains} onClose={() => setOpen(false)} />}
    </>
  );
}

interface Verified {
  report: ChainReport;
  anchor: Anchor | null;
  noted: boolean;
}

type State = { stage: "idle" } | { stage: "busy"; done: number } | { stage: "done" } | { stage: "failed"; problem: string };

function VerifyDialog({ chains, onClose }: { chains: (string | null)[]; onClose: () => void }) {
  const [state, setState] = useState<State>({ stage: "idle" });
  const [found, setFound] = useState<Verified[]>([]);
  const stop = useRef(new AbortController());
  useEffect(() => () => stop.current.abort(), []);
  const seconds = useSeconds(state.stage === "busy");
  const run = async () => {
    setFound([]);
    stop.current = new AbortController();
    try {
      for (const [index, platform] of chains.entries()) {
        setState({ stage: "busy", done: index });
        const reports = await verify(platform, stop.current.signal);
        setFound((before) => [...before, ...reports]);
      }
      setState({ stage: "done" });
    } catch (error) {
      if (!stop.current.signal.aborted) setState({ stage: "failed", problem: tell(error) });
    }
  };
  const busy = state.stage === "busy";
  return (
    <Dialog open onClose={onClose} title={t("verifyTitle")} wide>
      <div className="flex flex-col gap-4">
        <p className="max-w-prose text-sm text-muted">{t("verifyIntro")}</p>
        {busy && (
          <p role="status" className="flex items-center gap-2 text-sm text-muted">
            <Icon name="spinner" className="animate-spin" />
            {t("verifying", { done: state.done + 1, all: chains.length, seconds })}
          </p>
        )}
        {state.stage === "failed" && <Callout tone="bad">{state.problem}</Callout>}
        {found.length > 0 && (
          <ul className="flex flex-col gap-3">
            {found.map((one) => (
              <Chain key={one.report.platform} {...one} />
            ))}
          </ul>
        )}
        {state.stage === "done" && <p className="text-xs text-faint">{t("headHint")}</p>}
        <div>
          <Button look="primary" busy={busy} onClick={() => void run()}>
            {t(state.stage === "idle" ? "begin" : "verifyAgain")}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

/** One chain with the end that this browser noted, or all of them. */
async function verify(platform: string | null, signal: AbortSignal): Promise<Verified[]> {
  const anchor = platform === null ? null : anchorOf(platform);
  const body = { ...(platform !== null && { platform }), ...(anchor && { anchor }) };
  const { chains } = await request<{ chains: ChainReport[] }>("/api/v1/audit:verify", { method: "POST", body, signal });
  return chains.map((report) => ({ report, anchor, noted: report.ok && noteAnchor(report) }));
}

function useSeconds(running: boolean): number {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    if (!running) return undefined;
    setSeconds(0);
    const timer = setInterval(() => setSeconds((before) => before + 1), 1_000);
    return () => clearInterval(timer);
  }, [running]);
  return seconds;
}

function Chain({ report, anchor, noted }: Verified) {
  const { platform, ok, records, head, first_bad: bad } = report;
  return (
    <li className="rounded-md border border-line p-3">
      <p className="flex flex-wrap items-center gap-x-3 gap-y-1 text-sm">
        <span className="font-medium">{platform === "-" ? t("abovePlatforms") : platform}</span>
        <span className={cx("inline-flex items-center gap-1.5", ok ? "text-ok" : "text-bad")}>
          <Icon name={ok ? "verified" : "error"} size={14} />
          {ok ? t("whole") : t("broken", { record: formatNumber(bad?.chain_seq ?? 0) })}
        </span>
        <span className="nums text-xs text-faint">{records === 0 ? t("emptyChain") : t("wholeFrom", { records: formatNumber(records) })}</span>
      </p>
      <Line report={report} anchor={anchor} />
      {bad && (
        <Callout tone="bad" title={t(bad.problem === "head" ? "headProblem" : bad.problem)}>
          {bad.message}
          {bad.uid && (
            <span className="ml-2">
              <Id text={bad.uid} />
            </span>
          )}
        </Callout>
      )}
      {ok && records > 0 && (
        <p className="flex flex-wrap items-center gap-x-4 gap-y-1 text-xs text-muted">
          <span className="inline-flex max-w-full min-w-0 items-center gap-1.5">
            {t("head")} <Id text={head} />
          </span>
          {anchor && <span>{t("anchor", { records: formatNumber(anchor.records) })}</span>}
          {!anchor && noted && <span>{t("noted")}</span>}
        </p>
      )}
    </li>
  );
}

/** The chain from its first record to its last: green as far as it holds, with the noted end on it. */
function Line({ report: { ok, records, first_bad: bad }, anchor }: { report: ChainReport; anchor: Anchor | null }) {
  const end = Math.max(records, bad?.chain_seq ?? 0, anchor?.records ?? 0, 1);
  const part = (record: number) => `${Math.min(100, (100 * record) / end)}%`;
  return (
    <div aria-hidden className="relative my-2.5 h-2 rounded-full bg-raised">
      <div className={cx("absolute inset-y-0 left-0 rounded-full", ok ? "bg-ok" : "bg-ok/60")} style={{ width: ok ? part(records) : part((bad?.chain_seq ?? 1) - 1) }} />
      {!ok && bad && <div className="absolute -inset-y-1 w-1 rounded-full bg-bad" style={{ left: `calc(${part(bad.chain_seq)} - 4px)` }} />}
      {anchor && <div className="absolute -inset-y-1 w-0.5 bg-ink" style={{ left: `calc(${part(anchor.records)} - 2px)` }} />}
    </div>
  );
}
