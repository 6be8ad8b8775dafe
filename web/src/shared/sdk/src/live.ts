/**
 * One stream of changes for the whole page. What it tells goes into the caches that lists and details are drawn from, or
 * has them asked again, so nothing polls. A stream that breaks is taken up where it ended; where that is no longer possible, what is shown
 * is read again.
 */
import type { QueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";

import { authorized } from "./api.ts";
import { ApiError, errorFrom } from "./errors.ts";
import type { Resource, ResourcePage } from "./resource.ts";
import { resourceKey } from "./resource.ts";
import { readEvents } from "./sse.ts";
import { Freshener } from "./topics.ts";

export type LiveState = "off" | "connecting" | "live" | "lost";
export interface LiveStatus {
  state: LiveState;
  since: Date;
}

export interface Change {
  event: "added" | "modified" | "deleted";
  plural: string;
  resource: Resource;
}

const SILENCE_MS = 60_000;
const FLUSH_MS = 40;
const MAX_WAIT_MS = 10_000;
/** So much of what topics were before it began a stream tells at least. */
const TOLD_MS = 4_000;

let status: LiveStatus = { state: "off", since: new Date() };
const statusListeners = new Set<() => void>();
const changeListeners = new Set<(change: Change) => void>();

function setStatus(state: LiveState): void {
  if (status.state === state) return;
  status = { state, since: new Date() };
  for (const listener of statusListeners) listener();
}

export const useLiveStatus = (): LiveStatus =>
  useSyncExternalStore(
    (listener) => {
      statusListeners.add(listener);
      return () => statusListeners.delete(listener);
    },
    () => status,
  );

/** Hears every change that the caller may see; answers how to stop. */
export function onChange(listener: (change: Change) => void): () => void {
  changeListeners.add(listener);
  return () => changeListeners.delete(listener);
}

export interface Subscription {
  client: QueryClient;
  scope: string;
  /** Kind name → plural, of the kinds the caller may read. */
  kinds: ReadonlyMap<string, string>;
  /** What is of no kind, as far as the caller may read it. */
  topics: readonly string[];
}

/** Watches until the answer is called. */
export function watch(subscription: Subscription): () => void {
  const stop = new AbortController();
  void run(subscription, stop.signal);
  return () => {
    stop.abort();
    setStatus("off");
  };
}

async function run(subscription: Subscription, signal: AbortSignal): Promise<void> {
  let cursor: string | null = null;
  let failures = 0;
  const queue = new ChangeQueue(subscription);
  while (!signal.aborted) {
    if (status.state !== "lost") setStatus("connecting");
    try {
      const opened = Date.now();
      const body = await open(subscription, cursor, signal);
      if (cursor === null) queue.rereadOlderThan(opened);
      failures = 0;
      setStatus("live");
      cursor = await follow(body, cursor, queue, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status === 410) cursor = null;
      else if (error instanceof ApiError && error.status === 401) return;
      failures += 1;
      setStatus("lost");
    }
    if (failures > 0) await pause(Math.min(MAX_WAIT_MS, 250 * 2 ** Math.min(failures, 6)) * (0.7 + Math.random() * 0.6), signal);
  }
}

async function open({ kinds, scope, topics }: Subscription, cursor: string | null, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const query = new URLSearchParams();
  if (kinds.size > 0) query.set("kinds", [...kinds.values()].join(","));
  if (topics.length > 0) query.set("topics", topics.join(","));
  if (scope !== "-") query.set("scope", scope);
  if (cursor) query.set("cursor", cursor);
  const response = await authorized(`/api/v1/watch?${query}`, { signal });
  if (!response.ok || !response.body) throw await errorFrom(response);
  return response.body;
}

/** Reads a stream to its end; answers the cursor to go on from, null where all must be read again. */
async function follow(body: ReadableStream<Uint8Array>, from: string | null, queue: ChangeQueue, signal: AbortSignal): Promise<string | null> {
  let cursor = from;
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), SILENCE_MS);
  const broken = new Promise<never>((_, reject) => {
    for (const each of [silent.signal, signal]) each.addEventListener("abort", () => reject(new Error("the stream fell silent")), { once: true });
  });
  broken.catch(() => undefined);
  const events = readEvents(body);
  try {
    for (;;) {
      const next = await Promise.race([events.next(), broken]);
      if (next.done) return cursor;
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE_MS);
      const { event, data, id } = next.value;
      if (id) cursor = id;
      if (event === "relist") {
        queue.rereadAll();
        return null;
      }
      if (event === "added" || event === "modified" || event === "deleted") queue.add(event, JSON.parse(data) as Resource);
      else if (event === "changed") queue.touch(JSON.parse(data) as { topic: string; scope: string });
    }
  } finally {
    clearTimeout(timer);
    void events.return(undefined);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      document.removeEventListener("visibilitychange", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
    document.addEventListener("visibilitychange", done);
    signal.addEventListener("abort", done, { once: true });
  });
}

/** Collects changes for a moment, so that a burst of them is drawn once. */
class ChangeQueue {
  private waiting: Change[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly freshener: Freshener;

  constructor(private readonly subscription: Subscription) {
    this.freshener = new Freshener(subscription.client);
  }

  add(event: Change["event"], resource: Resource): void {
    const plural = this.subscription.kinds.get(resource.kind);
    if (!plural) return;
    this.waiting.push({ event, plural, resource });
    this.timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  touch({ topic, scope }: { topic: string; scope: string }): void {
    this.freshener.touch(topic, scope);
  }

  rereadAll(): void {
    const { client } = this.subscription;
    this.freshener.touchAll();
    void client.invalidateQueries({ queryKey: ["list"] });
    void client.invalidateQueries({ queryKey: ["one"] });
    void client.invalidateQueries({ queryKey: ["bootstrap"] });
  }

  /** What was read before the stream began may have changed since. */
  rereadOlderThan(moment: number): void {
    this.freshener.touchOlder(moment - TOLD_MS);
    void this.subscription.client.invalidateQueries({
      predicate: (query) => ["list", "one"].includes(String(query.queryKey[0])) && query.state.dataUpdatedAt > 0 && query.state.dataUpdatedAt < moment,
    });
  }

  private flush(): void {
    this.timer = undefined;
    const changes = this.waiting.splice(0);
    for (const change of changes) {
      for (const listener of changeListeners) listener(change);
      this.freshener.touch(change.plural, change.resource.metadata.scope);
    }
    applyChanges(this.subscription.client, changes);
  }
}

interface Pages {
  pages: ResourcePage[];
  pageParams: unknown[];
}

/** Puts changes into every list and detail that is held. */
export function applyChanges(client: QueryClient, changes: readonly Change[]): void {
  for (const plural of new Set(changes.map((change) => change.plural))) {
    const own = changes.filter((change) => change.plural === plural);
    for (const query of client.getQueryCache().findAll({ queryKey: ["list", plural] })) {
      const scope = String(query.queryKey[2]);
      const old = query.state.data as Pages | undefined;
      if (old) client.setQueryData(query.queryKey, mergeInto(old, own.filter((change) => lists(scope, change))));
    }
  }
  for (const { event, plural, resource } of changes) {
    const key = ["one", plural, resource.metadata.scope, resource.metadata.name];
    const held = client.getQueryData<Resource | null>(key);
    if (held === undefined) continue;
    if (event === "deleted") client.setQueryData(key, null);
    else if (!held || isNewer(resource, held)) client.setQueryData(key, resource);
  }
}

function lists(scope: string, { resource: { metadata } }: Change): boolean {
  return scope === "-" || metadata.scope === scope || metadata.scope.startsWith(`${scope}.`);
}

const isNewer = (resource: Resource, held: Resource): boolean =>
  resource.metadata.uid !== held.metadata.uid || resource.metadata.resource_version > held.metadata.resource_version;

export function mergeInto(old: Pages, changes: readonly Change[]): Pages {
  if (changes.length === 0) return old;
  const latest = new Map<string, Change>();
  for (const change of changes) latest.set(resourceKey(change.resource), change);
  const pages = old.pages.map((page) => ({
    ...page,
    items: page.items.flatMap((item) => {
      const change = latest.get(resourceKey(item));
      if (!change) return [item];
      latest.delete(resourceKey(item));
      if (change.event === "deleted") return [];
      return [isNewer(change.resource, item) ? change.resource : item];
    }),
  }));
  const added = [...latest.values()].filter((change) => change.event !== "deleted").map((change) => change.resource);
  const first = pages[0];
  if (first && added.length > 0) pages[0] = { ...first, items: [...added, ...first.items] };
  return { ...old, pages };
}
