import { describe, expect, it } from "vitest";

import type { System } from "./state.ts";
import { troublesOf } from "./troubles.ts";

const api = { name: "api", state: "ready", pid: 1, since: "", restarts: 0, address: "", message: "" };
const mail = { name: "mail", behind: 3, attempts: 0, retry_at: null, error: null, updated_at: "" };
const endpoints = { kind: "Endpoint", due: 1, working: 0, failing: 0, oldest_due_at: "2026-11-21T20:00:00Z", last_error: null };
const well: System = {
  parts: [api],
  change_log: { position: 9, floor: 0, unnumbered: 0 },
  consumers: [mail],
  queues: [endpoints],
  workers: [{ id: "w", host: "h", heartbeat_at: "" }],
  dead_letters: 0,
  dead_letters_changed_at: null,
};
const now = Date.parse("2026-11-21T20:00:05Z");

describe("troubles", () => {
  it("are none on an ordinary day", () => {
    expect(troublesOf({ system: well, gateways: { processes: [], incidents: [] } }, now)).toEqual([]);
    expect(troublesOf({ system: null, gateways: null }, now)).toEqual([]);
  });

  it("are told with what somebody would look at, the worst first", () => {
    const ill: System = {
      ...well,
      parts: [{ ...api, state: "failed", message: "exit 1" }],
      consumers: [{ ...mail, attempts: 2, error: "no" }, { ...mail, name: "slow", behind: 5_000 }],
      queues: [{ ...endpoints, failing: 1, last_error: "broken" }],
      workers: [],
      dead_letters: 2,
    };
    const found = troublesOf({ system: ill, gateways: null }, now);
    expect(found.map((one) => [one.tone, one.about])).toEqual([
      ["bad", "api"], ["bad", "mail"], ["bad", "worker"], ["warn", "slow"], ["warn", "Endpoint"], ["warn", "dead letters"],
    ]);
  });

  it("notice work that waits", () => {
    expect(troublesOf({ system: well, gateways: null }, now + 120_000).map((one) => one.about)).toEqual(["Endpoint"]);
  });

  it("notice a gateway that fell silent, and what one says of itself", () => {
    const process = { uid: "u", host: "h", pid: 7, started_at: "", reported_at: "", stopped_at: null, waiting_bytes: 0, lag_seconds: 0.4 };
    const trouble = { component: "spool", state: "failing", reason: "full", message: "the disk is full", meanwhile: "refused" } as const;
    const processes = [{ ...process, status: "silent" as const, troubles: [] }, { ...process, status: "degraded" as const, troubles: [trouble] }];
    expect(troublesOf({ system: well, gateways: { processes, incidents: [] } }, now).map((one) => one.text)).toEqual(["it no longer reports", "the disk is full"]);
    const late = [{ ...process, status: "ok" as const, lag_seconds: 95, troubles: [] }];
    expect(troublesOf({ system: well, gateways: { processes: late, incidents: [] } }, now).map((one) => one.text)).toEqual(["usage is charged 95 s late"]);
  });
});
