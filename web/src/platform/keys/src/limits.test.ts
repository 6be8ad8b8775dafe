import { expect, it } from "vitest";

import { limitsOf, wordsOf } from "./limits.ts";
import type { Limit } from "./limits.ts";
import type { Key } from "./types.ts";

const limit = (name: string, scope: string, spec: Limit["spec"]) => ({ metadata: { name, scope }, spec }) as unknown as Limit;
const key = { metadata: { name: "app", scope: "acme.shop.eu" } } as unknown as Key;
const names = (limits: Limit[]) => limits.map(({ metadata }) => metadata.name);

it("finds a key's own limits by its short and its whole name, and those around it by where they are", () => {
  const { own, around } = limitsOf(key, [
    limit("short", "acme.shop.eu", { key: "app" }),
    limit("whole", "acme", { key: "acme.shop.eu/app" }),
    limit("another", "acme.shop.eu", { key: "apple" }),
    limit("elsewhere", "acme.shop.us", { key: "app" }),
    limit("everywhere", "-", {}),
    limit("account", "acme", {}),
    limit("narrowed", "acme", { scope: "acme.shop.us" }),
    limit("alike", "acme.sho", {}),
  ]);
  expect([names(own), names(around)]).toEqual([["short", "whole"], ["everywhere", "account"]]);
});

it("says what is allowed", () => {
  expect(wordsOf(limit("a", "-", { requests_per_minute: 60, tokens_per_minute: 10_000, concurrency: 4 }))).toBe("60 requests a minute, 10,000 tokens a minute, 4 at once");
  expect(wordsOf(limit("a", "-", { requests_per_second: 1, route: "gpt", per: ["end_user"] }))).toBe("1 request a second, of gpt, for each end user");
  expect(wordsOf(limit("a", "-", { allowed_models: ["a", "b-*"] }))).toBe("only a, b-*");
  expect(wordsOf(limit("a", "-", { allowed_models: [] }))).toBe("no model at all");
});
