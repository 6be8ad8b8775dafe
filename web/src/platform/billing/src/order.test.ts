import { expect, it } from "vitest";

import { orderOfUse } from "./order.ts";
import { fractionOf, percentOf } from "./percent.ts";
import type { Grant } from "./types.ts";

const grant = (id: string, change: Partial<Grant> = {}): Grant =>
  ({
    id, source: "paid", priority: 50, expires_at: null, held: false, granted_at: "2026-03-01T00:00:00Z",
    remaining: { currency: "USD", nano: 1, amount: "0.000000001" }, ...change,
  }) as Grant;

it("is the order in which the ledger uses credit", () => {
  const grants = [
    grant("paid"),
    grant("older", { granted_at: "2026-02-01T00:00:00Z" }),
    grant("gift", { source: "promotion" }),
    grant("expires", { expires_at: "2026-06-01T00:00:00Z" }),
    grant("first", { priority: 10 }),
    grant("empty", { remaining: { currency: "USD", nano: 0, amount: "0.00" } }),
    grant("gone", { expires_at: "2026-03-02T00:00:00Z" }),
    grant("held", { expires_at: "2026-03-02T00:00:00Z", held: true }),
  ];
  const order = orderOfUse(grants, Date.parse("2026-04-01T00:00:00Z")).map((one) => one.id);
  expect(order).toEqual(["first", "held", "expires", "gift", "older", "paid"]);
});

it("moves the digits of rates", () => {
  expect(["0.19", "0.1900", "0.075", "1", "0", "0.000001"].map(percentOf)).toEqual(["19", "19", "7.5", "100", "0", "0.0001"]);
  expect(["19", "7.5", "100", "0", "0.0001"].map(fractionOf)).toEqual(["0.19", "0.075", "1.00", "0.00", "0.000001"]);
  for (const bad of ["", "-1", "101", "x", "1.00001"]) expect(fractionOf(bad)).toBeNull();
});
