import { expect, it } from "vitest";

import { countsFor, draftOfPrice, keyFrom, readDraft, shifted, showDraft, standOf, unitPriceOf, withEnds, wordsOf } from "./book.ts";
import type { Price, Terms } from "./types.ts";

const NOW = Date.parse("2026-06-01T00:00:00Z");
const price = (id: string, given: Partial<Price>): Price => ({
  id, meter: "output_tokens", model: "*", currency: "USD", scope: "-", unit_price: "0.0000004", per_million: "0.4",
  valid_from: "2026-01-01T00:00:00Z", valid_to: null, withdrawn: false, ...given,
});
const key = { meter: "output_tokens", model: "smollm2", currency: "USD", scope: "acme.shop" };

it("moves the point of a price without rounding", () => {
  expect(shifted("0.4", -6)).toBe("0.0000004");
  expect(shifted("0.0000004", 6)).toBe("0.4");
  expect(shifted("2520", -6)).toBe("0.00252");
  expect(shifted("0.000000000000000001", 6)).toBe("0.000000000001");
  expect([shifted("0", 6), shifted("0.00", 0), shifted("100", 0), shifted("1", 6)]).toEqual(["0", "0", "100", "1000000"]);
});

it("reads a price by the unit and by the million, and nothing that is none", () => {
  expect(unitPriceOf({ text: "0.40", per: "million" })).toBe("0.0000004");
  expect(unitPriceOf({ text: "1,250.50", per: "one" })).toBe("1250.5");
  for (const text of ["", "-1", "1e3", "free", "1.0000000000000000001"]) expect(unitPriceOf({ text, per: "one" })).toBeNull();
  for (const unit of ["0.0000004", "0.0007", "49", "0"]) expect(unitPriceOf(draftOfPrice(unit))).toBe(unit);
  expect(draftOfPrice("0.0000004")).toEqual({ text: "0.4", per: "million" });
  expect(readDraft(showDraft(draftOfPrice("0.0007")))).toEqual({ text: "0.0007", per: "one" });
  expect(readDraft("")).toEqual({ text: "", per: "million" });
  expect(draftOfPrice("49")).toEqual({ text: "49", per: "one" });
});

it("says which price counts: the nearest, there the model's own, and none that is over, to come or withdrawn", () => {
  const book = [
    price("all", {}),
    price("model", { model: "smollm2" }),
    price("account", { scope: "acme" }),
    price("gone", { scope: "acme.shop", withdrawn: true }),
    price("planned", { scope: "acme.shop", valid_from: "2026-07-01T00:00:00Z" }),
    price("euro", { scope: "acme.shop", currency: "EUR" }),
  ];
  expect(countsFor(book, key, NOW)?.id).toBe("account");
  expect(countsFor(book, { ...key, scope: "-" }, NOW)?.id).toBe("account"); // the list holds what counts at a scope already
  expect(countsFor(book.slice(0, 2), key, NOW)?.id).toBe("model");
  expect(countsFor(book.slice(0, 2), { ...key, model: "*" }, NOW)?.id).toBe("all");
  expect(countsFor([], key, NOW)).toBeUndefined();
  expect(book.map((each) => standOf(each, NOW))).toEqual(["inForce", "inForce", "inForce", "withdrawn", "later", "inForce"]);
});

it("ends each version of terms where the next of the same key begins", () => {
  const terms = (valid_from: string, scope = "-") => ({ ...key, scope, valid_from }) as unknown as Terms;
  expect(withEnds([terms("2026-01-01"), terms("2026-03-01"), terms("2026-02-01"), terms("2026-02-01", "acme")]).map((each) => each.valid_to)).toEqual([
    "2026-02-01", null, "2026-03-01", null,
  ]);
});

it("writes a key into an address and reads it back", () => {
  expect(keyFrom(new URLSearchParams(wordsOf(key)))).toEqual(key);
  expect(keyFrom(new URLSearchParams(), "acme")).toEqual({ meter: "", model: "*", currency: "USD", scope: "acme" });
});
