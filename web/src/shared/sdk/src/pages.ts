/** Lists of the API that come in pages and are of no kind: invoices, transfers, records. */
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";

import { request } from "./api.ts";
import type { Shows } from "./topics.ts";

interface PageOf<T> {
  items: T[];
  next_cursor: string | null;
}

export interface PagedList<T, More = unknown> {
  items: T[];
  /** The first page, with what it says besides its items. */
  first: (PageOf<T> & More) | undefined;
  loading: boolean;
  error: Error | null;
  more: boolean;
  loadMore: () => void;
}

/** A list that only grows, newest first. */
export interface Growing<T> {
  id: (item: T) => string;
  /** When it was, as the API writes it; the order of the list. */
  at: (item: T) => string;
  /** Words of the query that ask for what came since the newest item that is held. */
  since: (newest: T) => Record<string, string>;
}

interface PagesOptions<T> {
  enabled?: boolean;
  /** Items in one page. */
  limit?: number;
  /** What `live(scope, …)` makes: the list is asked for again when something of that changed. */
  meta?: { shows: Shows };
  /** Only what came since is asked for then, however many pages are held; more than a page of it begins the list anew. */
  grows?: Growing<T>;
}

/** `/api/v1/…` and the words of its query, page after page. */
export function usePages<T, More = unknown>(
  path: string,
  query: Record<string, string | undefined> = {},
  options: PagesOptions<T> = {},
): PagedList<T, More> {
  const { enabled = true, limit = 100, meta, grows } = options;
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "");
  const queryKey = ["pages", path, Object.fromEntries(given), limit];
  const ask = (more: Record<string, string>, signal: AbortSignal) =>
    request<PageOf<T> & More>(`${path}?${new URLSearchParams({ ...Object.fromEntries(given), limit: String(limit), ...more })}`, { signal });
  const { data, error, isPending, fetchNextPage, hasNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey,
    enabled,
    ...(meta && !grows && { meta }),
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) => ask(pageParam ? { cursor: pageParam } : {}, signal),
    getNextPageParam: (page) => page.next_cursor,
  });
  const client = useQueryClient();
  const newer = useQuery({
    queryKey: ["newer", ...queryKey],
    enabled: enabled && grows !== undefined && data !== undefined,
    ...(meta && grows && { meta }),
    initialData: NONE as T[],
    staleTime: Infinity,
    queryFn: async ({ signal }): Promise<T[]> => {
      const held = client.getQueryData<T[]>(["newer", ...queryKey]) ?? [];
      const newest = held[0] ?? data?.pages[0]?.items[0];
      const page = await ask(newest && grows ? grows.since(newest) : {}, signal);
      if (page.next_cursor === null) return grows ? merged(page.items, held, grows) : held;
      void client.invalidateQueries({ queryKey, exact: true });
      return [];
    },
  }).data;
  const items = useMemo(() => {
    const known = data?.pages.flatMap((page) => page.items) ?? [];
    return grows && newer.length > 0 ? merged(newer, known, grows) : known;
  }, [data, newer, grows]);
  const loadMore = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [fetchNextPage, hasNextPage, isFetchingNextPage]);
  return { items, first: data?.pages[0], loading: isPending && enabled, error, more: hasNextPage, loadMore };
}

const NONE: never[] = [];

/** Newest first, each once, as it was told last. */
export function merged<T>(fresh: readonly T[], known: readonly T[], { id, at }: Pick<Growing<T>, "id" | "at">): T[] {
  const told = new Set(fresh.map(id));
  const kept = known.filter((item) => !told.has(id(item)));
  return [...fresh, ...kept].sort((a, b) => (at(a) < at(b) ? 1 : at(a) > at(b) ? -1 : 0));
}
