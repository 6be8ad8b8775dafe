import { expect, it } from "vitest";

import { bodyOf, changesOf, changesTo, draftOf } from "./plan-draft.ts";
import type { Plan } from "./types.ts";

const PLAN: Plan = {
  id: "1", name: "team", version: 1, title: "Team", base_fee: { currency: "USD", nano: 99_500_000_000, amount: "99.500000000" },
  limits: { platforms: 2, tenants: null }, included: { kv_reads: 10_000_000 }, overage: { kv_reads: "0.0000004" }, trial_days: 14,
  withdrawn: false, created_at: "2026-01-01T00:00:00Z",
};

it("sends what a plan says just as it was read", () => {
  const body = bodyOf(draftOf(PLAN));
  expect(body).toEqual({
    name: "team", title: "Team", currency: "USD", base_fee: "99.50", trial_days: 14,
    limits: { platforms: 2, tenants: null }, included: { kv_reads: 10_000_000 }, overage: { kv_reads: "0.0000004" },
  });
  expect(body && changesTo(PLAN, body)).toEqual([]);
});

it("sends nothing that is no number, nor a meter twice or without a quantity", () => {
  const draft = draftOf(PLAN);
  const [row] = draft.allowances;
  if (!row) throw new Error("it has one");
  for (const change of [
    { fee: "" }, { fee: "much" }, { trial: "a week" }, { limits: { platforms: "two" } }, { allowances: [row, row] },
    { allowances: [{ ...row, included: "0" }] }, { allowances: [{ ...row, meter: "" }] }, { allowances: [{ ...row, beyond: { text: "x", per: "one" as const } }] },
  ]) expect(bodyOf({ ...draft, ...change })).toBeNull();
  expect(bodyOf({ ...draft, fee: "1,000", allowances: [{ ...row, included: "5,000", beyond: { text: "", per: "one" } }] })).toMatchObject({
    base_fee: "1000", included: { kv_reads: 5000 }, overage: {},
  });
});

it("tells in words what is different, and of a first version all", () => {
  const dearer: Plan = { ...PLAN, base_fee: { ...PLAN.base_fee, amount: "120.000000000" }, limits: {}, overage: {} };
  expect(changesOf(PLAN, dearer)).toEqual([
    { what: "Fee", before: "$99.50", after: "$120.00" },
    { what: "Platforms, at most", before: "2", after: "unlimited" },
    { what: "KV reads, beyond", before: "$0.40 / million", after: "as the price book says" },
  ]);
  expect(changesOf(null, PLAN)[0]).toEqual({ what: "Title", before: "", after: "Team" });
});
