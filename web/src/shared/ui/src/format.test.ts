import { describe, expect, it } from "vitest";

import { formatAgo, formatBytes, formatCompact, formatDuration, formatMoney, parseMoney, words } from "./format.ts";
import { fill } from "./text.ts";

describe("money", () => {
  it.each([
    [0n, "$0.00"],
    [1_500_000_000n, "$1.50"],
    [5_000n, "$0.000005"],
    [12_349n, "$0.0000123"],
    [123n, "$0.000000123"],
    [-2_345_000_000n, "−$2.34"],
    [2_345_000_001n, "$2.35"],
    [9_007_199_254_740_993_000_000_000n, "$9,007,199,254,740,993.00"],
  ])("writes %s nano-units as %s", (nano, shown) => {
    expect(formatMoney(nano, "usd")).toBe(shown);
  });

  it("takes integers as text, which is how large ones travel, and names a currency it has no sign for", () => {
    expect(formatMoney("1000000000", "CHF")).toBe("1.00 CHF");
  });
});

it("reads decimals without losing a digit", () => {
  expect(parseMoney("9007199254740993.000000001")).toBe(9_007_199_254_740_993_000_000_001n);
  expect(parseMoney("-0.5")).toBe(-500_000_000n);
});

describe("sizes, counts and times", () => {
  it("uses the unit that people would", () => {
    expect(formatBytes(512)).toBe("512 B");
    expect(formatBytes(1_610_612_736)).toBe("1.5 GiB");
    expect(formatCompact(9_999)).toBe("9,999");
    expect(formatCompact(12_345_678)).toBe("12.3M");
    expect(formatDuration(240)).toBe("240 ms");
    expect(formatDuration(200_000)).toBe("3 min 20 s");
    expect(formatDuration(7_500_000)).toBe("2 h 5 min");
  });

  it("says how long ago, and how long until", () => {
    const now = new Date("2026-11-21T12:00:00Z");
    expect(formatAgo(new Date("2026-11-21T11:57:00Z"), now)).toBe("3 min ago");
    expect(formatAgo(new Date("2026-11-21T14:00:00Z"), now)).toBe("in 2 h");
    expect(formatAgo(now, now)).toBe("just now");
  });
});

it("makes words of names", () => {
  expect(words("ModelDownloading")).toBe("Model downloading");
  expect(words("ready_replicas")).toBe("Ready replicas");
  expect(words("api-keys")).toBe("API keys");
});

it("fills a text and chooses by number", () => {
  expect(fill("{count|row|rows} of {name}", { count: 1, name: "x" })).toBe("1 row of x");
  expect(fill("{count|row|rows}", { count: 1200 })).toBe("1,200 rows");
  expect(fill("{missing}")).toBe("{missing}");
});
