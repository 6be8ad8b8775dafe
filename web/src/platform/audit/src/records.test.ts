import { describe, expect, it } from "vitest";

import { changesOf, startOf, toLines, toTable } from "./records.ts";
import type { AuditRecord } from "./records.ts";

const record = (uid: string, more: Partial<AuditRecord> = {}): AuditRecord => ({
  uid, occurred_at: "2026-11-21T20:00:00Z", actor: "user:ann", actor_uid: null, actor_kind: "user", address: "::1", action: "endpoint.update",
  target_type: "Endpoint", target_id: "acme/chat", scope: "acme", result: "ok", correlation_id: "req_1", client_request_id: null,
  before: null, after: null, platform: "-", chain_seq: 1, ...more,
});

describe("records of the trail", () => {
  it("tell each field that changed, came or went", () => {
    const before = { spec: { replicas: 1, model: "a", tags: ["x"] }, gone: true };
    const after = { spec: { replicas: 2, model: "a", tags: ["x"] }, note: "hello" };
    expect(changesOf({ before, after })).toEqual([
      { field: "spec.replicas", before: "1", after: "2" },
      { field: "gone", before: "true", after: null },
      { field: "note", before: null, after: "hello" },
    ]);
    expect(changesOf({ before: null, after: { a: null } })).toEqual([{ field: "a", before: null, after: "null" }]);
    expect(changesOf({ before: null, after: null })).toEqual([]);
  });

  it("leave as lines and as a table that hold all they say", () => {
    const one = record("a", { after: { x: 1 } });
    expect(JSON.parse(toLines([one]))).toEqual(one);
    const [head, row] = toTable([one]);
    expect(head?.length).toBe(row?.length);
    expect(row?.at(-1)).toBe('{"x":1}');
  });

  it("begin where the span does", () => {
    expect(startOf("hour", Date.parse("2026-11-21T20:00:00Z"))).toBe("2026-11-21T19:00:00.000Z");
    expect(startOf("all", 0)).toBeUndefined();
  });
});
