/** What of an installation somebody should look at, worst first. Figures below these bounds are an ordinary day. */
import type { Seen } from "./state.ts";

export interface Trouble {
  tone: "bad" | "warn";
  about: string;
  text: string;
}

/** Entries that a consumer may be behind, and milliseconds that work may wait, before anybody need care. */
export const MUCH_BEHIND = 1_000;
export const LONG_WAIT_MS = 60_000;
/** Seconds that the charge of usage may be behind. */
export const LONG_LAG = 30;

export function troublesOf({ system, gateways }: Pick<Seen, "system" | "gateways">, now: number): Trouble[] {
  const found: Trouble[] = [];
  const add = (tone: Trouble["tone"], about: string, text: string) => found.push({ tone, about, text });
  for (const part of system?.parts ?? []) {
    if (part.state !== "ready") add("bad", part.name, part.message || part.state);
  }
  for (const consumer of system?.consumers ?? []) {
    if (consumer.attempts > 0) add("bad", consumer.name, consumer.error ?? `failed ${consumer.attempts} times`);
    else if (consumer.behind > MUCH_BEHIND) add("warn", consumer.name, `${consumer.behind.toLocaleString("en")} entries behind`);
  }
  for (const queue of system?.queues ?? []) {
    if (queue.failing > 0) add("warn", queue.kind, queue.last_error ?? `${queue.failing} failing`);
    else if (queue.oldest_due_at && now - Date.parse(queue.oldest_due_at) > LONG_WAIT_MS) add("warn", queue.kind, "work waits for more than a minute");
  }
  if (system && system.workers.length === 0) add("bad", "worker", "no worker reports: nothing is reconciled");
  for (const { host, pid, status, troubles, lag_seconds } of gateways?.processes ?? []) {
    if (status === "silent") add("bad", `gateway ${host}:${pid}`, "it no longer reports");
    else if (status !== "stopped" && lag_seconds > LONG_LAG) add("warn", `gateway ${host}:${pid}`, `usage is charged ${Math.round(lag_seconds).toLocaleString("en")} s late`);
    for (const trouble of troubles) add(trouble.state === "failing" ? "bad" : "warn", `gateway ${trouble.component}`, trouble.message);
  }
  if (system && system.dead_letters > 0) add("warn", "dead letters", `${system.dead_letters.toLocaleString("en")} wait for a replay`);
  return found.sort((a, b) => Number(a.tone === "warn") - Number(b.tone === "warn"));
}
