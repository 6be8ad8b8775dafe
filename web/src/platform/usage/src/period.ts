/** The time that is looked at: one of a few spans until now, or two moments; kept in the address of the page. */
export const SPANS = { hour: 3_600_000, day: 86_400_000, week: 7 * 86_400_000, month: 30 * 86_400_000 } as const;
type Span = keyof typeof SPANS;
export type Step = "minute" | "hour" | "day";

const STEPS: Record<Span, Step> = { hour: "minute", day: "hour", week: "hour", month: "day" };
export const STEP_MS: Record<Step, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
/** For how long the API keeps minutes, less what it takes to ask. */
const MINUTES_KEPT = 3 * 3_600_000 - 60_000;
const HOURS_SHOWN = 8 * 86_400_000;

export interface Period {
  span: Span | "custom";
  since: string;
  /** Undefined until now. */
  until: string | undefined;
  step: Step;
}

export function periodOf(params: URLSearchParams, now: number): Period {
  const word = params.get("range") ?? "day";
  const chosen = word === "custom" && customOf(Date.parse(params.get("from") ?? ""), params.get("to"), now);
  return chosen || spanOf(word in SPANS ? (word as Span) : "day", now);
}

function spanOf(span: Span, now: number): Period {
  const step = STEPS[span];
  return { span, since: new Date(floor(now - SPANS[span], step)).toISOString(), until: undefined, step };
}

function customOf(since: number, to: string | null, now: number): Period | null {
  const until = to ? Date.parse(to) : now;
  if (!(since < until)) return null;
  const step = since > now - MINUTES_KEPT ? "minute" : until - since <= HOURS_SHOWN ? "hour" : "day";
  return { span: "custom", since: new Date(since).toISOString(), until: to ? new Date(until).toISOString() : undefined, step };
}

const floor = (at: number, step: Step): number => Math.floor(at / STEP_MS[step]) * STEP_MS[step];

/** The words of the address for what lies between two moments of a chart, in Unix seconds: the steps whose points lie there. */
export function within(from: number, to: number, step: Step): { range: string; from: string; to: string } {
  const nearest = (at: number) => Math.round((at * 1000) / STEP_MS[step]) * STEP_MS[step];
  const last = nearest(to) + STEP_MS[step]; // a point stands for what follows it, the last one for what is not over yet
  return { range: "custom", from: new Date(nearest(from)).toISOString(), to: new Date(last).toISOString() };
}

/** A moment as a field for date and time has it: in the browser's zone, to the minute. */
export function localInput(at: string): string {
  const moment = new Date(at);
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
