/** Reading and writing resources of any kind; what is read stays fresh by the stream of changes. */
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";

import { request } from "./api.ts";
import { useBootstrap } from "./bootstrap.ts";
import { ApiError } from "./errors.ts";
import { useModels } from "./models.ts";
import { apiAddress, resourceKey } from "./resource.ts";
import type { Applied, Resource, ResourcePage } from "./resource.ts";

const PAGE = 500;

export interface ResourceList<T extends Resource> {
  items: T[];
  loading: boolean;
  error: Error | null;
  more: boolean;
  loadMore: () => void;
}

/** Everything of a kind at `scope` and below; `inherited` adds what is readable from above. */
export function useResources<T extends Resource = Resource>(
  plural: string,
  scope: string,
  options: { inherited?: boolean; enabled?: boolean } = {},
): ResourceList<T> {
  const { inherited = false, enabled = true } = options;
  const query = useInfiniteQuery({
    queryKey: ["list", plural, scope, inherited],
    enabled,
    staleTime: Infinity,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) => {
      const words = new URLSearchParams({ limit: String(PAGE) });
      if (pageParam) words.set("cursor", pageParam);
      if (inherited) words.set("inherited", "true");
      return request<ResourcePage>(`${apiAddress(plural, scope)}?${words}`, { signal });
    },
    getNextPageParam: (page) => page.next_cursor,
  });
  const items = useMemo(() => (query.data?.pages.flatMap((page) => page.items) ?? []).sort(byPlace) as T[], [query.data]);
  const { fetchNextPage, hasNextPage, isFetchingNextPage } = query;
  const loadMore = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [fetchNextPage, hasNextPage, isFetchingNextPage]);
  return { items, loading: query.isPending && enabled, error: query.error, more: hasNextPage, loadMore };
}

function byPlace(a: Resource, b: Resource): number {
  const [left, right] = [a.metadata, b.metadata];
  if (left.scope !== right.scope) return left.scope < right.scope ? -1 : 1;
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}

/** One resource; null when there is none, also when it goes while it is shown. */
export function useResource(plural: string, scope: string, name: string) {
  return useQuery({
    queryKey: ["one", plural, scope, name],
    staleTime: Infinity,
    queryFn: async ({ signal }) => {
      try {
        return await request<Resource>(apiAddress(plural, scope, name), { signal });
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return null;
        throw error;
      }
    },
  });
}

export interface ReferenceOption {
  value: string;
  label: string;
  hint?: string;
}

/** No kind: what can be called at a scope, by the names that callers write. */
const MODEL = "Model";

/** The resources of `kind` that a document at `scope` may name: `name` for those beside it, `path/name` for all others. */
export function useReferenceOptions(kind: string, scope: string): ReferenceOption[] {
  const { models } = useModels(scope, { enabled: kind === MODEL });
  const known = useBootstrap().kinds.find((one) => one.name === kind);
  const { items } = useResources(known?.plural ?? "", scope, { inherited: known?.inherited ?? false, enabled: known !== undefined });
  return useMemo(
    () => (kind === MODEL ? models.map(({ id, scope: at }) => ({ value: id, label: id, hint: at })) : items.map((item) => optionOf(item, scope))),
    [kind, models, items, scope],
  );
}

export function optionOf({ metadata, status }: Resource, scope: string): ReferenceOption {
  const value = metadata.scope === scope ? metadata.name : resourceKey({ metadata });
  return { value, label: value, hint: metadata.display_name ?? status.phase };
}

/** What people write of a resource: no identity, no status. */
export interface Document {
  api_version: "v1";
  kind: string;
  metadata: { name: string; scope?: string; display_name?: string | null; labels?: Record<string, string>; annotations?: Record<string, string>; resource_version?: number };
  spec: Record<string, unknown>;
}

export const applyResource = (plural: string, scope: string, document: Document, dryRun = false): Promise<Applied> =>
  request<Applied>(`${apiAddress(plural, scope, document.metadata.name)}:apply${dryRun ? "?dry_run=true" : ""}`, { method: "POST", body: document });

export const createResource = (plural: string, scope: string, document: Document): Promise<Resource> =>
  request<Resource>(apiAddress(plural, scope), { method: "POST", body: document });

export const patchResource = (plural: string, scope: string, name: string, patch: object): Promise<Resource> =>
  request<Resource>(apiAddress(plural, scope, name), { method: "PATCH", body: patch });

/** With `dryRun` nothing goes; it fails as the deletion would, and says why. */
export const deleteResource = (plural: string, scope: string, name: string, dryRun = false): Promise<unknown> =>
  request(`${apiAddress(plural, scope, name)}${dryRun ? "?dry_run=true" : ""}`, { method: "DELETE" });

/** Puts an answer of the API where lists and details are drawn from, before the stream tells it. */
export function useRemember(): (plural: string, resource: Resource) => void {
  const client = useQueryClient();
  return useCallback(
    (plural, resource) => {
      client.setQueryData(["one", plural, resource.metadata.scope, resource.metadata.name], resource);
      void client.invalidateQueries({ queryKey: ["list", plural] });
    },
    [client],
  );
}
