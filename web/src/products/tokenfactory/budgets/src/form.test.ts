import { describe, expect, it } from "vitest";

import { readThresholds } from "./form.tsx";
import { decimalOf, exactMoney } from "./types.ts";

describe("thresholds as one writes them", () => {
  it("are whole percents, each once, in order", () => {
    expect(readThresholds("100, 50 %;80 50")).toEqual([50, 80, 100]);
    expect(readThresholds("")).toEqual([]);
    for (const wrong of ["0", "half", "50.5", "1001", "-1"]) expect(readThresholds(wrong)).toBeNull();
  });
});

describe("an amount that somebody set", () => {
  it("is shown to its last digit", () => {
    expect(exactMoney("0.025", "USD")).toBe("$0.025");
    expect(exactMoney("1250", "USD")).toBe("$1,250.00");
    expect(exactMoney("1250.123456789", "CHF")).toBe("1,250.123456789 CHF");
    expect(exactMoney("0.5", "USD")).toBe("$0.50");
  });
});

describe("an amount as the API takes it", () => {
  it("has no zeros that say nothing", () => {
    expect(decimalOf(1_500_000_000n)).toBe("1.5");
    expect(decimalOf(2_000_000_000n)).toBe("2");
    expect(decimalOf(1n)).toBe("0.000000001");
  });
});
