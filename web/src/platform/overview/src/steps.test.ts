import { expect, it } from "vitest";

import { howToCall, stepsDone } from "./steps.ts";

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

it("leads to the page that tells how something is called, wherever it was declared", () => {
  const model = { id: "chat", kind: "route" as const, scope: "acme", name: "chat", phase: "Ready" };
  expect(howToCall("acme.shop.eu", model)).toMatch(/acme\.shop\.eu\/routing\/routes\/acme\/chat$/);
  expect(howToCall("acme.shop.eu", { ...model, kind: "endpoint" })).toMatch(/endpoints\/acme\/chat\?tab=call$/);
  expect(howToCall("acme.shop.eu", { ...model, kind: "external" })).toBeUndefined();
});
