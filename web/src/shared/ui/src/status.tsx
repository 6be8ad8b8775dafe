/** Phases and conditions: colour helps, words say it. */
import { cx } from "./classes.ts";
import { words } from "./format.ts";
import { Icon } from "./icons.tsx";
import { Time } from "./time.tsx";

export type Tone = "ok" | "warn" | "bad" | "info" | "idle";

const GOOD = /^(ready|running|active|enabled|healthy|paid|valid|issued|succeeded|serving|connected)$/i;
const BAD = /^(failed|error|crashed|degraded|unhealthy|lost|revoked|expired|past_due|unpaid)$/i;
const WARN = /^(suspended|pending_cancellation|deleting|draining|unresponsive|uncollectible|deletefailed|cancelled)$/i;
const BUSY = /^(pending|deploying|provisioning|modeldownloading|starting|initializing|creating|updating|open|draft)$/i;

export function toneOf(phase: string): Tone {
  if (GOOD.test(phase)) return "ok";
  if (BAD.test(phase)) return "bad";
  if (WARN.test(phase)) return "warn";
  return BUSY.test(phase) ? "info" : "idle";
}

const DOT: Record<Tone, string> = {
  ok: "bg-ok",
  warn: "bg-warn",
  bad: "bg-bad",
  // at rest in lists: each that moves is a layer of its own, drawn anew sixty times a second
  info: "bg-info animate-pulse in-[[role=grid]]:animate-none",
  idle: "bg-edge",
};
const SOFT: Record<Tone, string> = {
  ok: "bg-ok-soft text-ok",
  warn: "bg-warn-soft text-warn",
  bad: "bg-bad-soft text-bad",
  info: "bg-info-soft text-info",
  idle: "bg-raised text-muted",
};

/** One word on how a resource is. */
export function Phase({ phase, quiet }: { phase: string; quiet?: boolean }) {
  const tone = toneOf(phase);
  return (
    <span
      className={cx(
        "inline-flex items-center gap-1.5 text-xs whitespace-nowrap",
        !quiet && cx("rounded-full px-2 py-px font-medium", SOFT[tone]),
      )}
    >
      <span aria-hidden className={cx("size-1.5 shrink-0 rounded-full", DOT[tone])} />
      {words(phase)}
    </span>
  );
}

export const Badge = ({ tone = "idle", children }: { tone?: Tone; children: React.ReactNode }) => (
  <span className={cx("inline-flex items-center rounded-full px-2 py-px text-2xs font-medium whitespace-nowrap", SOFT[tone])}>
    {children}
  </span>
);

export interface ConditionView {
  type: string;
  status: "True" | "False" | "Unknown";
  reason?: string;
  message?: string;
  last_transition_time?: string | null;
}

/** Conditions whose truth is bad news. */
const ADVERSE = /(degraded|failed|pressure|stalled|suspended|blocked|exceeded|lost|deleting)/i;

export function conditionTone({ type, status }: ConditionView): Tone {
  if (status === "Unknown") return "warn";
  return (status === "True") === ADVERSE.test(type) ? "bad" : "ok";
}

const CONDITION_ICON = { ok: "ok", bad: "error", warn: "help", info: "info", idle: "circle" } as const;
const CONDITION_COLOUR: Record<Tone, string> = {
  ok: "text-ok",
  bad: "text-bad",
  warn: "text-warn",
  info: "text-info",
  idle: "text-faint",
};

/** What was observed, as sentences: what it is, why, since when. */
export function Conditions({ items }: { items: readonly ConditionView[] }) {
  return (
    <ul className="divide-y divide-line">
      {items.map((condition) => {
        const tone = conditionTone(condition);
        return (
          <li key={condition.type} className="flex items-start gap-2.5 py-2">
            <Icon name={CONDITION_ICON[tone]} className={cx("mt-0.5", CONDITION_COLOUR[tone])} />
            <div className="min-w-0 flex-1">
              <p className="text-sm">
                <span className="font-medium">{sentence(condition)}</span>
                {condition.reason && words(condition.reason) !== words(condition.type) && <span className="ml-2 text-xs text-faint">{words(condition.reason)}</span>}
              </p>
              {condition.message && <p className="text-xs break-words text-muted">{condition.message}</p>}
            </div>
            {condition.last_transition_time && (
              <span className="text-xs text-faint">
                <Time at={condition.last_transition_time} />
              </span>
            )}
          </li>
        );
      })}
    </ul>
  );
}

/** `Ready` False → `Not ready`; `ModelDownloaded` Unknown → `Model downloaded: unknown`. */
export function sentence({ type, status }: ConditionView): string {
  const said = words(type);
  if (status === "True") return said;
  if (status === "Unknown") return `${said}: unknown`;
  return `Not ${said.charAt(0).toLowerCase()}${said.slice(1)}`;
}
