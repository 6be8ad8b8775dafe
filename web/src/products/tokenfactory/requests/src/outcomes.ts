/** How a request ended, in words, and what can be done about it. */
import { catalogue } from "@ironworks/ui";
import type { Tone } from "@ironworks/ui";

const t = catalogue("requests.outcomes", {
  answered: "Answered",
  left: "The caller left",
  leftWhy: "The caller closed the connection before the answer was complete. What had been produced by then is charged.",
  leftDo: "If that was a timeout of the caller's, give it more time, or ask for fewer tokens.",
  invalid_request: "The request was refused",
  invalid_requestWhy: "The model server found fault with what was asked: a field's value, or a prompt that is too long.",
  invalid_requestDo: "The answer that the caller got names the field. Nothing was charged.",
  unsupported_operation: "The model does not do that",
  unsupported_operationWhy: "The model server does not offer this operation.",
  unsupported_operationDo: "Call a model whose task fits: an embedding model for embeddings, a chat model for chat.",
  model_not_supported: "The model does not do that",
  model_not_supportedWhy: "No way leads from this operation to the API that the provider speaks.",
  model_not_supportedDo: "Call another model, or use an operation that it has.",
  model_overloaded: "The model server had too much to do",
  model_overloadedWhy: "It asked to be left alone for a while, and so did every other that the route knows.",
  model_overloadedDo: "Try again after the Retry-After that the caller was told. Add replicas, or a second target to the route.",
  model_busy: "No turn came up in time",
  model_busyWhy: "The model takes only so many requests at once, and those before this one took too long.",
  model_busyDo: "Raise its max_concurrency, add replicas, or send less at once.",
  model_starting: "The model did not start in time",
  model_startingWhy: "It was asleep, was woken by this request, and was not ready when the wait was over.",
  model_startingDo: "Try again now: it may be running. Keep a replica awake if the first call matters.",
  model_not_ready: "No replica was ready",
  model_not_readyWhy: "Whatever the route leads to was starting, stopped or set aside after failures.",
  model_not_readyDo: "Look at the endpoint's replicas and logs.",
  upstream_error: "The model server failed",
  upstream_errorWhy: "It could not be reached, broke off, or answered with an error that is not about the request.",
  upstream_errorDo: "Look at the endpoint's logs at that moment. A second target on the route would have taken over.",
  upstream_timeout: "The model server took too long",
  upstream_timeoutWhy: "Nothing came from it for longer than its timeout.",
  upstream_timeoutDo: "Raise the target's timeout, ask for fewer tokens, or stream.",
  spool_unavailable: "The answer was withheld",
  spool_unavailableWhy: "Its usage could not be put on disk, and what cannot be charged is not given.",
  spool_unavailableDo: "Look at the gateway's disk: it is full or broken.",
  internal_error: "The gateway failed",
  internal_errorWhy: "That is our fault; the gateway's log has the particulars under the request's id.",
  internal_errorDo: "Tell the operator the request's id.",
  other: "It ended with status {status}",
  otherWhy: "The caller was told {code}.",
  otherDo: "The documentation of the gateway lists every code with its remedy.",
  retried: "It took more than one try: whoever was asked first did not do it, and the caller did not notice.",
  kept: "An equal request had been answered before; that answer was given again.",
});

type Known = "invalid_request" | "unsupported_operation" | "model_not_supported" | "model_overloaded" | "model_busy" | "model_starting" | "model_not_ready" | "upstream_error" | "upstream_timeout" | "spool_unavailable" | "internal_error";
const KNOWN: readonly string[] = [
  "invalid_request", "unsupported_operation", "model_not_supported", "model_overloaded", "model_busy", "model_starting", "model_not_ready",
  "upstream_error", "upstream_timeout", "spool_unavailable", "internal_error",
] satisfies Known[];

export interface Outcome {
  tone: Tone;
  title: string;
  why?: string;
  remedy?: string;
}

export const toneOfStatus = (status: number): Tone => (status === 499 ? "idle" : status >= 500 ? "bad" : status >= 400 ? "warn" : status >= 200 ? "ok" : "idle");

/** `code` is what the gateway recorded; requests from before it did have none. */
export function outcomeOf(status: number, code: string | null, tries = 1, cached = false): Outcome {
  const tone = toneOfStatus(status);
  if (status >= 200 && status < 400) {
    return { tone, title: t("answered"), ...(cached ? { why: t("kept") } : tries > 1 ? { why: t("retried") } : {}) };
  }
  if (status === 499 && !code) return { tone, title: t("left"), why: t("leftWhy"), remedy: t("leftDo") };
  const found = code || codeOf(status);
  if (KNOWN.includes(found)) {
    const known = found as Known;
    return { tone, title: t(known), why: t(`${known}Why`), remedy: t(`${known}Do`) };
  }
  return { tone, title: t("other", { status }), ...(code && { why: t("otherWhy", { code }), remedy: t("otherDo") }) };
}

/** The likeliest, where none was recorded. */
const codeOf = (status: number): string =>
  ({ 400: "invalid_request", 422: "invalid_request", 429: "model_overloaded", 500: "internal_error", 502: "upstream_error", 503: "model_not_ready", 504: "upstream_timeout" })[status] ?? "";
