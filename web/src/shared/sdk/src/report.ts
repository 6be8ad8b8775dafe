/** Tells the API what failed in the browser and how long pages took; a few at a time, never what was entered. */
import { authorized } from "./api.ts";

interface ErrorReport {
  kind: "error";
  message: string;
  stack?: string;
  feature?: string;
  page: string;
  count: number;
}

interface VitalReport {
  kind: "vital";
  name: "fcp" | "lcp" | "cls" | "ttfb";
  value: number;
  page: string;
}

type Report = ErrorReport | VitalReport;

const MOST = 20;
const WAIT_MS = 3_000;
let waiting: Report[] = [];
let sent = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** The address without what people named: `/s/acme.shop/resources/endpoints` is told as `/s/$scope/resources`. */
function page(): string {
  const [first, , feature] = location.pathname.split("/").filter(Boolean);
  return first === "s" ? `/s/$scope/${feature ?? ""}` : location.pathname.slice(0, 64);
}

function add(report: Report): void {
  const twin = waiting.find((other) => other.kind === "error" && report.kind === "error" && other.message === report.message);
  if (twin?.kind === "error") twin.count = Math.min(1000, twin.count + 1);
  else if (waiting.length < MOST && sent < MOST * 5) waiting.push(report); // more tell nothing new
  if (report.kind === "error") timer ??= setTimeout(() => void flush(), WAIT_MS); // how fast it was can wait for the end
}

async function flush(): Promise<void> {
  timer = undefined;
  if (waiting.length === 0) return;
  const reports = waiting;
  waiting = [];
  sent += reports.length;
  try {
    await authorized("/api/v1/console/reports", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ reports }),
      keepalive: true,
    });
  } catch {
    // what cannot be reported is not worth a second failure
  }
}

export function reportError(error: unknown, where: { feature?: string; component?: string } = {}): void {
  const failure = error instanceof Error ? error : new Error(String(error));
  const stack = [failure.stack, where.component].filter(Boolean).join("\n").slice(0, 8_000);
  add({
    kind: "error",
    message: `${failure.name}: ${failure.message}`.slice(0, 2_000),
    ...(stack && { stack }),
    ...(where.feature && { feature: where.feature }),
    page: page(),
    count: 1,
  });
}

/** `value` in seconds; `cls` has no unit. */
export const reportVital = (name: VitalReport["name"], value: number): void =>
  add({ kind: "vital", name, value: Math.round(value * 10_000) / 10_000, page: page() });

/** Failures that nobody caught, first paint, largest paint and layout shift. */
export function beginReporting(): void {
  addEventListener("error", (event) => reportError(event.error ?? event.message));
  addEventListener("unhandledrejection", (event) => reportError(event.reason));
  observe("paint", (entry) => entry.name === "first-contentful-paint" && reportVital("fcp", entry.startTime / 1000));
  let largest = 0;
  let shift = 0;
  observe("largest-contentful-paint", (entry) => (largest = entry.startTime));
  observe("layout-shift", (entry) => {
    const { value = 0, hadRecentInput } = entry as PerformanceEntry & { value?: number; hadRecentInput?: boolean };
    if (!hadRecentInput) shift += value;
  });
  document.addEventListener(
    "visibilitychange",
    () => {
      if (largest) reportVital("lcp", largest / 1000);
      reportVital("cls", shift);
      void flush();
    },
    { once: true },
  );
}

function observe(type: string, hear: (entry: PerformanceEntry) => unknown): void {
  try {
    new PerformanceObserver((list) => list.getEntries().forEach(hear)).observe({ type, buffered: true });
  } catch {
    // this browser does not measure it
  }
}
