/** How a target, or one of its upstreams, stands at the gateways: in a sign, and in words. */
import { Icon, cx, formatDuration, formatNumber } from "@ironworks/ui";
import { useEffect, useState } from "react";

import { secondsUntil } from "./health.ts";
import type { Condition, Standing, TargetCondition } from "./health.ts";
import { t } from "./words.ts";

const ICON = { well: "ok", ill: "error", returning: "warn", unknown: "help" } as const;
const COLOUR: Record<Standing, string> = { well: "text-ok", ill: "text-bad", returning: "text-warn", unknown: "text-faint" };
const SAID = { well: "healthy", ill: "ill", returning: "returning", unknown: "unknownHealth" } as const;

export const StandingIcon = ({ standing }: { standing: Standing }) => (
  <>
    <Icon name={ICON[standing]} className={COLOUR[standing]} />
    <span className="sr-only">{t(SAID[standing])}</span>
  </>
);

/** What it does now, and what it did in the last hour; nothing of what it did not. */
export function TargetLoad({ seen: { in_flight, queued, figures } }: { seen: TargetCondition }) {
  const { requests = 0, server_errors = 0, latency_ms, first_token_ms } = figures ?? {};
  return (
    <>
      {in_flight > 0 && <span className="nums text-ink">{t("inFlight", { count: in_flight })}</span>}
      {queued > 0 && <span className="nums text-warn">{t("waiting", { count: queued })}</span>}
      {figures && <span className="nums">{requests === 0 ? t("idleHour") : t("lastHour", { count: requests })}</span>}
      {server_errors > 0 && (
        <span className="nums text-bad">
          {formatNumber(server_errors)} {t("failed").toLowerCase()}
        </span>
      )}
      {latency_ms && <Span label={first_token_ms ? t("firstToken") : t("latency")} {...(first_token_ms ?? latency_ms)} />}
    </>
  );
}

const Span = ({ label, p50, p99 }: { label: string; p50: number; p99: number }) => (
  <span className="nums">
    {label.toLowerCase()} {formatDuration(p50)}, {t("slowest")} {formatDuration(p99)}
  </span>
);

/** Why it is left alone, and for how long. */
export function Seen({ seen, processes }: { seen: Condition; processes: number }) {
  const ejected = seen.state === "ejected";
  const some = seen.processes < processes && t("atSome", { some: seen.processes, all: processes });
  return (
    <p className={cx("text-xs break-words", ejected ? "text-bad" : "text-warn")} role="status">
      {t(seen.state === "ejected" ? "ejected" : seen.state === "resting" ? "resting" : "slowStart")}
      {some && ` ${some}`}
      {seen.until !== null && <Countdown until={seen.until} />}
      {seen.reason && `: ${seen.reason}`}
    </p>
  );
}

/** ` for 4 s more`, second by second. */
function Countdown({ until }: { until: string }) {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), 1000);
    return () => clearInterval(timer);
  }, [until]);
  const left = secondsUntil(until, now);
  return left ? <span className="nums">{` ${t("forSeconds", { seconds: left })}`}</span> : null;
}
