import { expect, it } from "vitest";

import { lineWords } from "./line-words.ts";

it("spells meters out and leaves days and plans as they are", () => {
  const line = { kind: "usage" as const, meter: "input_tokens", description: "input tokens", model: "smollm2" };
  expect(lineWords(line)).toBe("Input tokens · smollm2");
  expect(lineWords({ ...line, meter: "gpu_seconds", description: "gpu seconds", model: null })).toBe("GPU seconds");
  expect(lineWords({ ...line, kind: "adjustment", description: "40 included", model: "*" })).toBe("Input tokens: 40 included");
  expect(lineWords({ ...line, kind: "fee", description: "Starter, 2026-11-21 to 2026-12-20", model: "" })).toBe("Starter, 2026-11-21 to 2026-12-20");
  expect(lineWords({ ...line, kind: "adjustment", meter: "", description: "kv_reads included in Growth", model: "" })).toBe("KV reads included in Growth");
});
