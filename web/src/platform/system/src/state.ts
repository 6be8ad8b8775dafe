/**
 * How the installation is, as its stream tells it each time that something changed. One stream for all that looks; it
 * ends a moment after nobody does.
 */
import { ApiError, authorized, readEvents } from "@ironworks/sdk";
import { useSyncExternalStore } from "react";

export interface Part {
  name: string;
  state: string;
  pid: number | null;
  since: string;
  restarts: number;
  address: string;
  message: string;
}

export interface Consumer {
  name: string;
  behind: number;
  attempts: number;
  retry_at: string | null;
  error: string | null;
  updated_at: string;
}

export interface Queue {
  kind: string;
  due: number;
  working: number;
  failing: number;
  oldest_due_at: string | null;
  last_error: string | null;
}

export interface System {
  parts: Part[];
  change_log: { position: number; floor: number; unnumbered: number };
  consumers: Consumer[];
  queues: Queue[];
  workers: { id: string; host: string; heartbeat_at: string }[];
  dead_letters: number;
  dead_letters_changed_at: string | null;
}

export interface GatewayProcess {
  uid: string;
  host: string;
  pid: number;
  started_at: string;
  reported_at: string;
  stopped_at: string | null;
  status: "ok" | "degraded" | "unavailable" | "silent" | "stopped";
  waiting_bytes: number;
  lag_seconds: number;
  troubles: { component: string; state: "degraded" | "failing"; reason: string; message: string; meanwhile: string }[];
}

export interface Incident {
  process: string;
  host: string;
  pid: number;
  component: string;
  reason: string;
  message: string;
  since: string;
  until: string | null;
}

export interface Seen {
  connection: "connecting" | "live" | "lost";
  system: System | null;
  gateways: { processes: GatewayProcess[]; incidents: Incident[] } | null;
  problem: Error | null;
}

const LINGER_MS = 3_000;
const SILENCE_MS = 45_000;
const MAX_WAIT_MS = 10_000;

let seen: Seen = { connection: "connecting", system: null, gateways: null, problem: null };
let running: AbortController | null = null;
let ending: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

function set(change: Partial<Seen>): void {
  seen = { ...seen, ...change };
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  clearTimeout(ending);
  if (!running) {
    running = new AbortController();
    void run(running.signal);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    ending = setTimeout(() => {
      running?.abort();
      running = null;
      seen = { connection: "connecting", system: null, gateways: null, problem: null };
    }, LINGER_MS);
  };
}

export const useSystem = (): Seen => useSyncExternalStore(subscribe, () => seen);

async function run(signal: AbortSignal): Promise<void> {
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      await follow(signal, () => (failures = 0));
    } catch (error) {
      if (signal.aborted) return;
      const problem = error instanceof Error ? error : new Error(String(error));
      set({ connection: "lost", problem });
      if (problem instanceof ApiError && (problem.status === 401 || problem.status === 403)) return;
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(MAX_WAIT_MS, 500 * 2 ** Math.min(failures, 5))));
  }
}

/** One stream to its end. What falls silent is given up. */
async function follow(signal: AbortSignal, onEvent: () => void): Promise<void> {
  const stop = new AbortController();
  const abort = () => stop.abort();
  signal.addEventListener("abort", abort);
  let silent = setTimeout(abort, SILENCE_MS);
  try {
    const response = await authorized("/api/v1/system/watch", { signal: stop.signal });
    if (!response.ok || !response.body) throw new ApiError(response.status, "STREAM", `the API answered ${response.status}`);
    for await (const { event, data } of readEvents(response.body)) {
      clearTimeout(silent);
      silent = setTimeout(abort, SILENCE_MS);
      if (event !== "system" && event !== "gateways") continue;
      onEvent();
      set({ connection: "live", problem: null, [event]: JSON.parse(data) as unknown });
    }
  } finally {
    clearTimeout(silent);
    signal.removeEventListener("abort", abort);
  }
}
