import { expect, it } from "vitest";

import { stepsDone } from "./steps.ts";

const today = (requests: number, cost: string | null = "0") => ({ total: { requests, cost } });

it("ticks nothing where there is nothing", () => {
  expect(stepsDone(0, [], today(0))).toEqual({ deploy: false, key: false, call: false, cost: false });
});

it("ticks each step by what is there", () => {
  expect(stepsDone(1, [], today(0))).toMatchObject({ deploy: true, key: false });
  expect(stepsDone(1, [{ last_used_at: null }], today(0))).toMatchObject({ key: true, call: false });
  expect(stepsDone(1, [{ last_used_at: null }], today(1, "0.0001"))).toEqual({ deploy: true, key: true, call: true, cost: true });
});

it("remembers calls of other days by the key, and knows no cost where it may not be seen", () => {
  expect(stepsDone(1, [{ last_used_at: "2026-11-20T10:00:00Z" }], today(0))).toMatchObject({ call: true });
  expect(stepsDone(1, [{ last_used_at: null }], today(3, null))).toMatchObject({ call: true, cost: false });
});
