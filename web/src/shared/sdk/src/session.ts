/**
 * Who is signed in here. The access token lives in this page's memory alone; the refresh token is in a cookie that no
 * script can read. Tabs share that cookie, so a lock lets one of them refresh at a time.
 */
import { useSyncExternalStore } from "react";

import { ApiError, errorFrom } from "./errors.ts";

export interface Session {
  state: "unknown" | "out" | "in";
  /** Why it ended, where it was not asked for. */
  ended: boolean;
}

interface Tokens {
  access_token: string;
  expires_at: string;
}

const EARLY_MS = 60_000;
const LOCK = "ironworks-session";
let token: { text: string; until: number } | null = null;
let session: Session = { state: "unknown", ended: false };
let refreshing: Promise<string | null> | null = null;
const listeners = new Set<() => void>();
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(LOCK);

function set(next: Session): void {
  session = next;
  for (const listener of listeners) listener();
}

function accept(tokens: Tokens): string {
  token = { text: tokens.access_token, until: Date.parse(tokens.expires_at) };
  if (session.state !== "in") set({ state: "in", ended: false });
  return tokens.access_token;
}

function drop(ended: boolean): void {
  token = null;
  set({ state: "out", ended });
}

channel?.addEventListener("message", (event) => {
  if (event.data === "out" && session.state === "in") drop(false);
  if (event.data === "in" && session.state === "out") void refresh();
});

async function send(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (problem) {
    throw ApiError.unreachable(problem);
  }
  if (!response.ok) throw await errorFrom(response);
  return response;
}

const json = (body: unknown): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

/** An operation that takes no session: what it is sent proves enough. Raises ApiError. */
export async function ask<T>(path: string, body: unknown): Promise<T> {
  return (await (await send(path, json(body))).json()) as T;
}

/** Raises ApiError. */
export async function signIn(email: string, password: string): Promise<void> {
  const response = await send("/api/v1/session", json({ email, password }));
  accept((await response.json()) as Tokens);
  channel?.postMessage("in");
}

/** The first start: whoever holds the operator's key becomes the first operator. Raises ApiError. */
export async function setUp(operatorKey: string, email: string, password: string): Promise<void> {
  const response = await send("/api/v1/setup", json({ operator_key: operatorKey, email, password }));
  accept((await response.json()) as Tokens);
}

export async function signOut(): Promise<void> {
  try {
    await send("/api/v1/session", { method: "DELETE" });
  } finally {
    drop(false);
    channel?.postMessage("out");
  }
}

/** All sessions of the caller have ended, this one too. */
export const sessionEnded = (): void => drop(true);

/** A fresh access token; null when nobody is signed in. Raises ApiError where the API cannot be reached. */
export function refresh(): Promise<string | null> {
  refreshing ??= alone(exchange).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

/** One tab at a time; without locks (plain HTTP from elsewhere has none) the API forgives a token that is used twice. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  if (!("locks" in navigator)) return work();
  return (await navigator.locks.request(LOCK, work)) as T;
}

async function exchange(): Promise<string | null> {
  try {
    const response = await send("/api/v1/session/token", { method: "POST" });
    return accept((await response.json()) as Tokens);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    drop(session.state === "in");
    return null;
  }
}

/** A token that is good for another minute. Raises ApiError with 401 where nobody is signed in. */
export async function accessToken(): Promise<string> {
  if (token && token.until - EARLY_MS > Date.now()) return token.text;
  const fresh = await refresh();
  if (fresh === null) throw new ApiError(401, "SESSION_ENDED", "you are not signed in");
  return fresh;
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const useSession = (): Session => useSyncExternalStore(subscribe, () => session);
