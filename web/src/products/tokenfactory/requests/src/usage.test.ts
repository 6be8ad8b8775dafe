import { describe, expect, it } from "vitest";

import { tokensOf } from "./usage.ts";
import type { Usage } from "./usage.ts";

describe("tokens", () => {
  it("are counted on the side that they are of", () => {
    const quantities = { input_tokens: 1, cached_input_tokens: 2, input_audio_tokens: 4, output_tokens: 8, reasoning_tokens: 16, output_audio_tokens: 32, images: 64 };
    expect([tokensOf({ quantities } as unknown as Usage, "input"), tokensOf({ quantities } as unknown as Usage, "output")]).toEqual([7, 56]);
  });
});
