import { afterEach, expect, it, vi } from "vitest";

import { commentMeasures, embed, readChunk, streamChat } from "./gateway.ts";
import type { Answer , GatewayError} from "./gateway.ts";

afterEach(() => vi.unstubAllGlobals());

const asked = { base: "http://gateway/v1", key: "iwk_x", body: { model: "m" }, signal: new AbortController().signal };
const answers = (body: string, init: ResponseInit = {}) => vi.stubGlobal("fetch", () => Promise.resolve(new Response(body, init)));
const chunk = (delta: object, more: object = {}) => `data: ${JSON.stringify({ choices: [{ delta, ...more }] })}\n\n`;
const failed = async (call: Promise<unknown>) => (await call.catch((error: unknown) => error)) as GatewayError;

it("puts an answer together, with what the gateway tells of it", async () => {
  const usage = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 1 } } })}\n\n`;
  answers(
    `: waiting\n\n${chunk({ role: "assistant" })}${chunk({ reasoning_content: "hm" })}${chunk({ content: "Hel" })}${chunk({ content: "lo" }, { finish_reason: "stop" })}${usage}` +
      ": cost=0.000012000 overhead_ms=0.41\n\ndata: [DONE]\n\n",
    { headers: { "x-request-id": "req_1", "x-ironworks-model": "a.b.c/m" } },
  );
  const seen: Answer[] = [];
  const answer = await streamChat(asked, (one) => seen.push(one));
  expect(seen.some(({ held }) => held)).toBe(true);
  expect(answer).toMatchObject({ text: "Hello", thought: "hm", held: false });
  expect(answer.measures).toMatchObject({
    requestId: "req_1", servedBy: "a.b.c/m", input: 3, known: 1, output: 2, cost: "0.000012000", overheadMs: 0.41, finish: "stop",
  });
  expect(answer.measures.firstMs).toBeLessThanOrEqual(answer.measures.totalMs ?? 0);
});

it("takes a stream without its end for broken", async () => {
  answers(chunk({ content: "Hel" }));
  expect(await failed(streamChat(asked, () => undefined))).toMatchObject({ code: "broken_off" });
});

it("tells what the gateway refuses, before a stream and within one", async () => {
  const refused = JSON.stringify({ error: { code: "budget_exhausted", message: "used up" } });
  answers(refused, { status: 429, headers: { "retry-after": "7", "x-request-id": "req_2" } });
  expect(await failed(streamChat(asked, () => undefined))).toMatchObject({
    status: 429, code: "budget_exhausted", message: "used up", retryAfter: 7, requestId: "req_2",
  });
  expect(() => readChunk(`{"error":{"code":"upstream_error","message":"gone"}}`)).toThrow("gone");
});

it("says where nothing answered", async () => {
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
  expect(await failed(streamChat(asked, () => undefined))).toMatchObject({ status: 0, code: "unreachable" });
});

it("reads comments that are none of ours as nothing", () => {
  expect(commentMeasures("waiting")).toEqual({});
  expect(commentMeasures("overhead_ms=1.50")).toEqual({ overheadMs: 1.5 });
});

it("keeps vectors in the order of their texts", async () => {
  answers(JSON.stringify({ data: [{ index: 1, embedding: [2] }, { index: 0, embedding: [1] }], usage: { prompt_tokens: 4 } }), {
    headers: { "x-ironworks-cost": "0.000000004", "x-ironworks-overhead-ms": "0.20" },
  });
  const { vectors, measures } = await embed(asked, "m", ["a", "b"]);
  expect(vectors).toEqual([[1], [2]]);
  expect(measures).toMatchObject({ input: 4, cost: "0.000000004", overheadMs: 0.2 });
});
