/**
 * The key that this page calls models with: one that is made when it is first needed, good for an hour and for calling
 * models alone, or one that the person pastes. It is held in memory, and one that was made here is deleted when the page
 * goes; what could not be deleted then is when the next one is made.
 */
import { apiAddress, authorized, createResource, deleteResource, request, useBootstrap } from "@ironworks/sdk";
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

/** Whose key, and for which tenant: who signs in next in the same window gets no key of somebody else. */
export interface Whose {
  person: string;
  scope: string;
}

export interface Held extends Whose {
  text: string;
  /** The resource; null for a key that was pasted. */
  name: string | null;
  until: number | null;
}

type Key = Resource<{ owner: string | null }, { owner: string | null }>;

const held = new Map<string, Held>();
const making = new Map<string, Promise<Held>>();
const listeners = new Set<() => void>();

const idOf = ({ person, scope }: Whose): string => `${person} ${scope}`;

function put(whose: Whose, key: Held | null): void {
  if (key) held.set(idOf(whose), key);
  else held.delete(idOf(whose));
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

/** The caller's key for a tenant, if there is one. */
export function useHeldKey(scope: string): Held | null {
  const id = idOf({ person: useBootstrap().caller.uid, scope });
  return useSyncExternalStore(subscribe, () => held.get(id) ?? null);
}

export const pasteKey = (whose: Whose, text: string): void => put(whose, { ...whose, text, name: null, until: null });

/** The key to call with; made where there is none that lasts. Raises ApiError, GatewayError. */
export async function keyFor(whose: Whose, base: string): Promise<string> {
  const id = idOf(whose);
  const own = held.get(id);
  if (own && (own.until === null || own.until - SPARE_MS > Date.now())) return own.text;
  let made = making.get(id);
  if (!made) {
    made = make(whose, base).finally(() => making.delete(id));
    making.set(id, made);
  }
  return (await made).text;
}

async function make({ person, scope }: Whose, base: string): Promise<Held> {
  const name = `${PREFIX}${crypto.getRandomValues(new Uint32Array(2)).reduce((text, number) => text + number.toString(36), "")}`;
  const until = Date.now() + LIFE_MS;
  const made = (await createResource(PLURAL, scope, {
    api_version: "v1",
    kind: "ApiKey",
    metadata: { name },
    spec: { permissions: ["endpoint:invoke"], expires_at: new Date(until).toISOString() },
  })) as Key;
  const { key } = await request<{ key: string }>(`${apiAddress(PLURAL, scope, name)}:rotate`, { method: "POST", body: {} });
  const found = { person, scope, text: key, name, until };
  put(found, found);
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
export async function dropKey(key: Held): Promise<void> {
  put(key, null);
  if (key.name) await deleteResource(PLURAL, key.scope, key.name);
}

/** The gateway does not take it any more. True where another can be made in its place. */
export function forgetKey(whose: Whose, text: string): boolean {
  const own = held.get(idOf(whose));
  if (own?.text !== text || own.name === null) return false;
  put(whose, null);
  return true;
}

if (typeof addEventListener !== "undefined") {
  addEventListener("pagehide", () => {
    for (const key of [...held.values()]) {
      if (key.name) void authorized(apiAddress(PLURAL, key.scope, key.name), { method: "DELETE", keepalive: true }).catch(() => undefined);
      put(key, null);
    }
  });
}
