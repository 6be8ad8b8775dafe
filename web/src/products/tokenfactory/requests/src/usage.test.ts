import { describe, expect, it } from "vitest";

import { merged, tokensOf } from "./usage.ts";
import type { Usage } from "./usage.ts";

const usage = (request_id: string, minute: number) => ({ request_id, occurred_at: `2026-03-01T12:${String(minute).padStart(2, "0")}:00Z` }) as Usage;

describe("a list that goes on", () => {
  it("has what came since before what was read first, each once", () => {
    const older = [usage("c", 3), usage("b", 2), usage("a", 1)];
    expect(merged([usage("e", 5), usage("d", 4), usage("c", 3)], older).map((one) => one.request_id)).toEqual(["e", "d", "c", "b", "a"]);
    expect(merged([], older)).toEqual(older);
  });

  it("puts what was told late where it belongs", () => {
    expect(merged([usage("late", 2)], [usage("c", 3), usage("a", 1)]).map((one) => one.request_id)).toEqual(["c", "late", "a"]);
  });
});

describe("tokens", () => {
  it("are counted on the side that they are of", () => {
    const quantities = { input_tokens: 1, cached_input_tokens: 2, input_audio_tokens: 4, output_tokens: 8, reasoning_tokens: 16, output_audio_tokens: 32, images: 64 };
    expect([tokensOf({ quantities } as unknown as Usage, "input"), tokensOf({ quantities } as unknown as Usage, "output")]).toEqual([7, 56]);
  });
});
