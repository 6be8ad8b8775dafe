/** Calls of the gateway from this page, with what each took: as it tells it, and as it is seen from here. */
import { readEvents } from "@ironworks/sdk";

export interface Measures {
  requestId?: string;
  /** What served it: `path/name`. */
  servedBy?: string;
  /** Milliseconds from sending to the first piece of the answer, and to its end. */
  firstMs?: number;
  totalMs?: number;
  input?: number;
  /** Of `input`, what the model server still knew, which costs less. */
  known?: number;
  output?: number;
  /** A decimal of CURRENCY. */
  cost?: string;
  overheadMs?: number;
  cached?: boolean;
  finish?: string;
}

/** The gateway quotes prices in it; an account with another currency is quoted none. */
export const CURRENCY = "USD";

/** What the gateway refuses: its code, its words, when to come again. Status 0: nothing answered. */
export class GatewayError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfter: number | null = null,
    readonly requestId: string | null = null,
  ) {
    super(message);
    this.name = "GatewayError";
  }
}

export interface Answer {
  text: string;
  /** What it thought aloud before, where a model tells that apart. */
  thought: string;
  /** It waits for a turn, or for a model to wake. */
  held: boolean;
  measures: Measures;
}

interface Chunk {
  choices?: { delta?: { content?: string | null; reasoning_content?: string | null; reasoning?: string | null }; finish_reason?: string | null }[];
  usage?: { prompt_tokens?: number; completion_tokens?: number; prompt_tokens_details?: { cached_tokens?: number } | null } | null;
  error?: { message?: string; code?: string | null };
}

interface Asked {
  /** The gateway's address with the version. */
  base: string;
  key: string;
  body: Record<string, unknown>;
  signal: AbortSignal;
}

async function post(operation: string, { base, key, body, signal }: Asked): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`${base}/${operation}`, {
      method: "POST",
      credentials: "omit",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
  } catch (problem) {
    if (signal.aborted) throw problem;
    throw new GatewayError(0, "unreachable", base);
  }
  if (!response.ok) throw await refusalOf(response);
  return response;
}

async function refusalOf(response: Response): Promise<GatewayError> {
  const told = ((await response.json().catch(() => null)) as Chunk | null)?.error;
  const retry = Number(response.headers.get("retry-after") ?? NaN);
  return new GatewayError(
    response.status,
    told?.code ?? "unknown",
    told?.message ?? `the gateway answered ${response.status}`,
    Number.isFinite(retry) ? retry : null,
    response.headers.get("x-request-id"),
  );
}

function headerMeasures({ headers }: Response): Measures {
  const measures: Measures = {};
  const requestId = headers.get("x-request-id");
  const servedBy = headers.get("x-ironworks-model");
  const cost = headers.get("x-ironworks-cost");
  const overhead = headers.get("x-ironworks-overhead-ms");
  if (requestId) measures.requestId = requestId;
  if (servedBy) measures.servedBy = servedBy;
  if (cost) measures.cost = cost;
  if (overhead) measures.overheadMs = Number(overhead);
  if (headers.get("x-ironworks-cache") === "hit") measures.cached = true;
  return measures;
}

/** `cost=0.000012 overhead_ms=0.41`, as the gateway says it before a stream's end. */
export function commentMeasures(comment: string): Measures {
  const words = Object.fromEntries(comment.split(" ").map((word) => word.split("=") as [string, string?]));
  return {
    ...(words["cost"] && { cost: words["cost"] }),
    ...(words["overhead_ms"] && { overheadMs: Number(words["overhead_ms"]) }),
  };
}

/** A streamed chat completion; `onChange` hears of every piece. Raises GatewayError, and whatever `signal` was aborted with. */
export async function streamChat(asked: Asked, onChange: (answer: Answer) => void): Promise<Answer> {
  const began = performance.now();
  let answer: Answer = { text: "", thought: "", held: false, measures: {} };
  const set = (change: Partial<Answer>) => {
    answer = { ...answer, ...change };
    onChange(answer);
  };
  const note = (more: Measures) => set({ measures: { ...answer.measures, ...more } });
  const response = await post("chat/completions", { ...asked, body: { ...asked.body, stream_options: { include_usage: true } } });
  note(headerMeasures(response));
  if (!response.body) throw new GatewayError(0, "broken_off", "");
  for await (const { data, comment } of readEvents(response.body)) {
    if (comment?.startsWith("waiting")) set({ held: true });
    else if (comment) note(commentMeasures(comment));
    if (!data) continue;
    if (data === "[DONE]") {
      note({ totalMs: performance.now() - began });
      return answer;
    }
    const piece = readChunk(data, answer.measures.requestId);
    if ((piece.text || piece.thought) && answer.measures.firstMs === undefined) note({ firstMs: performance.now() - began });
    set({
      text: answer.text + piece.text,
      thought: answer.thought + piece.thought,
      held: false,
      measures: { ...answer.measures, ...piece.measures },
    });
  }
  throw new GatewayError(0, "broken_off", "", null, answer.measures.requestId ?? null);
}

/** One event's part of an answer. Raises GatewayError for the event by which a stream says why it breaks off. */
export function readChunk(data: string, requestId: string | null = null): { text: string; thought: string; measures: Measures } {
  const chunk = JSON.parse(data) as Chunk;
  if (chunk.error) throw new GatewayError(200, chunk.error.code ?? "unknown", chunk.error.message ?? "", null, requestId);
  const choice = chunk.choices?.[0];
  const usage = chunk.usage;
  return {
    text: choice?.delta?.content ?? "",
    thought: choice?.delta?.reasoning_content ?? choice?.delta?.reasoning ?? "",
    measures: {
      ...(choice?.finish_reason && { finish: choice.finish_reason }),
      ...(usage && { input: usage.prompt_tokens ?? 0, output: usage.completion_tokens ?? 0 }),
      ...(usage?.prompt_tokens_details?.cached_tokens && { known: usage.prompt_tokens_details.cached_tokens }),
    },
  };
}

export interface Embedded {
  vectors: number[][];
  measures: Measures;
}

/** The vectors of all texts, in their order. Raises GatewayError. */
export async function embed(asked: Omit<Asked, "body">, model: string, texts: readonly string[]): Promise<Embedded> {
  const began = performance.now();
  const response = await post("embeddings", { ...asked, body: { model, input: texts } });
  const body = (await response.json()) as { data: { index: number; embedding: number[] }[]; usage?: { prompt_tokens?: number } };
  const totalMs = performance.now() - began;
  return {
    vectors: [...body.data].sort((a, b) => a.index - b.index).map((one) => one.embedding),
    measures: { ...headerMeasures(response), totalMs, ...(body.usage && { input: body.usage.prompt_tokens ?? 0 }) },
  };
}

/** Whether the gateway knows a key yet; it hears of a new one within a second. */
export async function knowsKey(base: string, key: string): Promise<boolean> {
  try {
    const response = await fetch(`${base}/models`, { credentials: "omit", headers: { authorization: `Bearer ${key}` } });
    return response.status !== 401;
  } catch {
    throw new GatewayError(0, "unreachable", base);
  }
}
