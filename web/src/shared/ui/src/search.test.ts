import { expect, it } from "vitest";

import { rank } from "./search.ts";

const NAMES = ["api-keys", "endpoints", "external-endpoints", "acme.shop.eu", "prices"];

it("puts beginnings first and accepts words in any order", () => {
  expect(rank("end", NAMES, (name) => name)[0]).toBe("endpoints");
  expect(rank("eu shop", NAMES, (name) => name)).toEqual(["acme.shop.eu"]);
});

it("finds letters that are apart, and nothing where one is missing", () => {
  expect(rank("apk", NAMES, (name) => name)).toContain("api-keys");
  expect(rank("zz", NAMES, (name) => name)).toEqual([]);
  expect(rank(" ", NAMES, (name) => name)).toEqual(NAMES);
});

it("does not find letters that lie about somewhere", () => {
  expect(rank("smol", ["first-mwqwlvlf.shop.zebra", "smollm2", "acme.small-outer-loop"], (text) => text)).toEqual(["smollm2", "acme.small-outer-loop"]);
});
