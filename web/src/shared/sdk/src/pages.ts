/** Lists of the API that come in pages and are of no kind: invoices, transfers, records. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";

import { request } from "./api.ts";

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

interface PagesOptions {
  enabled?: boolean;
  /** Items in one page. */
  limit?: number;
}

/** `/api/v1/…` and the words of its query, page after page; fresh again when `["pages", path]` is invalidated. */
export function usePages<T, More = unknown>(
  path: string,
  query: Record<string, string | undefined> = {},
  options: PagesOptions = {},
): PagedList<T, More> {
  const { enabled = true, limit = 100 } = options;
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "");
  const { data, error, isPending, fetchNextPage, hasNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ["pages", path, Object.fromEntries(given)],
    enabled,
    staleTime: 10_000,
    refetchOnWindowFocus: true, // no stream tells of these
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) => {
      const words = new URLSearchParams([...given, ["limit", String(limit)]]);
      if (pageParam) words.set("cursor", pageParam);
      return request<PageOf<T> & More>(`${path}?${words}`, { signal });
    },
    getNextPageParam: (page) => page.next_cursor,
  });
  const items = useMemo(() => data?.pages.flatMap((page) => page.items) ?? [], [data]);
  const loadMore = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [fetchNextPage, hasNextPage, isFetchingNextPage]);
  return { items, first: data?.pages[0], loading: isPending && enabled, error, more: hasNextPage, loadMore };
}
