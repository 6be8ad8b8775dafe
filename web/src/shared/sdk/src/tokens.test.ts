import { expect, it } from "vitest";

import { tokensIn } from "./tokens.ts";

it("counts what was cached as input, and thinking as output", () => {
  const used = { input_tokens: 1, cached_input_tokens: 2, input_audio_tokens: 4, output_tokens: 8, reasoning_tokens: 16, output_audio_tokens: 32, images: 64 };
  expect([tokensIn(used, "input"), tokensIn(used, "output"), tokensIn(used)]).toEqual([7, 56, 63]);
  expect(tokensIn({})).toBe(0);
});
