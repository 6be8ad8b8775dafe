import { describe, expect, it } from "vitest";

import { priceOf } from "./money.tsx";

describe("a price", () => {
  it("is told for a million where one would be nothing", () => {
    expect(priceOf("input_tokens", "0.00000015", "USD")).toBe("$0.15 a million");
    expect(priceOf("output_tokens", "0.0000000001234", "USD")).toBe("$0.000123 a million");
    expect(priceOf("output_tokens", "2", "EUR")).toBe("€2,000,000.00 a million");
    expect(priceOf("images", "0.04", "USD")).toBe("$0.04 each");
  });
});
