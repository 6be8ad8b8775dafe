/**
 * The key that this page calls models with: one that is made when it is first needed, good for an hour and for calling
 * models alone, or one that the person pastes. It is held in memory, and one that was made here is deleted when the page
 * goes; what could not be deleted then is when the next one is made.
 */
import { apiAddress, authorized, createResource, deleteResource, request } from "@ironworks/sdk";
import type { Resource, ResourcePage } from "@ironworks/sdk";
import { useSyncExternalStore } from "react";

import { GatewayError, knowsKey } from "./gateway.ts";

const PLURAL = "api-keys";
const PREFIX = "playground-";
const LIFE_MS = 3_600_000;
/** One that ends sooner is not begun with. */
const SPARE_MS = 30_000;
const KNOWN_WITHIN_MS = 8_000;
const SOON_MS = 200;

export interface Held {
  text: string;
  /** The resource; null for a key that was pasted. */
  name: string | null;
  until: number | null;
}

type Key = Resource<{ owner: string | null }, { owner: string | null }>;

const held = new Map<string, Held>();
const making = new Map<string, Promise<Held>>();
const listeners = new Set<() => void>();

function put(scope: string, key: Held | null): void {
  if (key) held.set(scope, key);
  else held.delete(scope);
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

/** The key that is held for a tenant. */
export const useHeldKey = (scope: string): Held | null => useSyncExternalStore(subscribe, () => held.get(scope) ?? null);

export const pasteKey = (scope: string, text: string): void => put(scope, { text, name: null, until: null });

/** The key to call with; made where there is none that lasts. Raises ApiError, GatewayError. */
export async function keyFor(scope: string, base: string): Promise<string> {
  const own = held.get(scope);
  if (own && (own.until === null || own.until - SPARE_MS > Date.now())) return own.text;
  let made = making.get(scope);
  if (!made) {
    made = make(scope, base).finally(() => making.delete(scope));
    making.set(scope, made);
  }
  return (await made).text;
}

async function make(scope: string, base: string): Promise<Held> {
  const name = `${PREFIX}${crypto.getRandomValues(new Uint32Array(2)).reduce((text, number) => text + number.toString(36), "")}`;
  const until = Date.now() + LIFE_MS;
  const made = (await createResource(PLURAL, scope, {
    api_version: "v1",
    kind: "ApiKey",
    metadata: { name },
    spec: { permissions: ["endpoint:invoke"], expires_at: new Date(until).toISOString() },
  })) as Key;
  const { key } = await request<{ key: string }>(`${apiAddress(PLURAL, scope, name)}:rotate`, { method: "POST", body: {} });
  const found = { text: key, name, until };
  put(scope, found);
  void sweep(scope, made.status.owner ?? made.spec.owner).catch(() => undefined);
  await waitKnown(base, key);
  return found;
}

async function waitKnown(base: string, key: string): Promise<void> {
  const late = Date.now() + KNOWN_WITHIN_MS;
  await new Promise((resolve) => setTimeout(resolve, SOON_MS));
  while (!(await knowsKey(base, key))) {
    if (Date.now() > late) throw new GatewayError(401, "invalid_api_key", "");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Deletes what earlier pages of the same person left behind. */
async function sweep(scope: string, owner: string | null): Promise<void> {
  const page = await request<ResourcePage>(`${apiAddress(PLURAL, scope)}?phase=Expired&limit=100`);
  const old = (page.items as Key[]).filter(({ metadata, status }) => metadata.name.startsWith(PREFIX) && status.owner === owner);
  await Promise.all(old.map(({ metadata }) => deleteResource(PLURAL, metadata.scope, metadata.name)));
}

/** Ends a key that was made here, forgets one that was pasted. Raises ApiError. */
export async function dropKey(scope: string): Promise<void> {
  const own = held.get(scope);
  put(scope, null);
  if (own?.name) await deleteResource(PLURAL, scope, own.name);
}

/** The gateway does not take it any more. True where another can be made in its place. */
export function forgetKey(scope: string, text: string): boolean {
  const own = held.get(scope);
  if (own?.text !== text || own.name === null) return false;
  put(scope, null);
  return true;
}

if (typeof addEventListener !== "undefined") {
  addEventListener("pagehide", () => {
    for (const [scope, { name }] of [...held]) {
      if (name) void authorized(apiAddress(PLURAL, scope, name), { method: "DELETE", keepalive: true }).catch(() => undefined);
      put(scope, null);
    }
  });
}
