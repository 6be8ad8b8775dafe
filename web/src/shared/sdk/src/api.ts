/** The API: typed calls for the operations that the contract names, plain ones where the kind is only known at run time. */
import createClient from "openapi-fetch";

import { ApiError, errorFrom, toError } from "./errors.ts";
import type { paths } from "./generated/api.ts";
import { accessToken, refresh } from "./session.ts";

/** `fetch` as the caller who is signed in; an access token that ran out is renewed once. */
export async function authorized(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const request = new Request(input, init);
  const again = request.clone();
  const response = await attempt(request, await accessToken());
  if (response.status !== 401) return response;
  const fresh = await refresh();
  return fresh === null ? response : attempt(again, fresh);
}

async function attempt(request: Request, token: string): Promise<Response> {
  request.headers.set("authorization", `Bearer ${token}`);
  try {
    return await fetch(request);
  } catch (problem) {
    if (request.signal.aborted) throw problem;
    throw ApiError.unreachable(problem);
  }
}

/** `api.GET("/api/v1/me")`; hand the answer to `unwrap`. */
export const api = createClient<paths>({ baseUrl: location.origin, fetch: (request) => authorized(request) });

/** The answer's data. Raises ApiError. */
export async function unwrap<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw toError(response.status, error, response.headers.get("x-request-id"));
  return data as T;
}

/** JSON from an address of the API. Raises ApiError. */
export async function request<T>(path: string, init: { method?: string; body?: unknown; signal?: AbortSignal } = {}): Promise<T> {
  const { method = "GET", body, signal } = init;
  const response = await authorized(path, {
    method,
    ...(signal && { signal }),
    ...(body !== undefined && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  if (!response.ok) throw await errorFrom(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}
