/**
 * What is of no kind stays fresh too. The stream tells that something of a topic changed at a scope, never what; every
 * query that shows it there is asked again: at once, then at most once a second, and never more than a third of the time
 * however slow its answer is. A page in the background waits until somebody looks.
 */
import type { Query, QueryClient } from "@tanstack/react-query";

import { covers } from "./resource.ts";

const GATHER_MS = 40;
const REST_MS = 1_000;

/** Topics, or kinds by their plurals, and where what is shown of them lies. */
export interface Shows {
  scope: string;
  topics: readonly string[];
}

/** Put into a query's options, keeps it fresh: `useQuery({ queryKey, queryFn, ...live(scope, "invoices") })`. */
export const live = (scope: string, ...topics: string[]): { meta: { shows: Shows } } => ({ meta: { shows: { scope, topics } } });

const showsOf = (query: Query): Shows | undefined => query.meta?.["shows"] as Shows | undefined;

export class Freshener {
  private readonly touched: Shows[] = [];
  /** By the query's hash: whether something changed again since it was last asked. */
  private readonly busy = new Map<string, boolean>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly client: QueryClient) {}

  /** Something of `topic` changed at `scope`, or below. */
  touch(topic: string, scope: string): void {
    this.touched.push({ scope, topics: [topic] });
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      const gathered = this.touched.splice(0);
      this.freshen((shown) => gathered.some((each) => concerns(each, shown)));
    }, GATHER_MS);
  }

  /** Nobody told what changed: everything may have. */
  touchAll(): void {
    this.freshen(() => true);
  }

  /** What was read before a moment may have changed since. */
  touchOlder(moment: number): void {
    this.freshen((_, query) => query.state.dataUpdatedAt > 0 && query.state.dataUpdatedAt < moment);
  }

  private freshen(chosen: (shown: Shows, query: Query) => boolean): void {
    for (const query of this.client.getQueryCache().getAll()) {
      const shown = showsOf(query);
      if (!shown || !chosen(shown, query)) continue;
      if (this.busy.has(query.queryHash)) this.busy.set(query.queryHash, true);
      else void this.follow(query);
    }
  }

  private async follow(query: Query): Promise<void> {
    this.busy.set(query.queryHash, true);
    while (this.busy.get(query.queryHash)) {
      await seen();
      this.busy.set(query.queryHash, false);
      const began = Date.now();
      await this.ask(query);
      await new Promise((resolve) => setTimeout(resolve, Math.max(REST_MS, 2 * (Date.now() - began))));
    }
    this.busy.delete(query.queryHash);
  }

  /** A first answer that was on its way may be from before the change; asking ends any other. */
  private async ask(query: Query): Promise<void> {
    const first = query.state.data === undefined && query.state.fetchStatus === "fetching";
    const again = () => this.client.invalidateQueries({ predicate: (each) => each === query });
    await again();
    if (first) await again();
  }
}

const concerns = (change: Shows, shown: Shows): boolean =>
  change.topics.some((topic) => shown.topics.includes(topic)) && (covers(shown.scope, change.scope) || covers(change.scope, shown.scope));

/** Until somebody may be looking at the page. */
const seen = (): Promise<void> =>
  new Promise((resolve) => {
    if (typeof document === "undefined" || document.visibilityState !== "hidden") return resolve();
    document.addEventListener("visibilitychange", () => resolve(), { once: true });
  });
