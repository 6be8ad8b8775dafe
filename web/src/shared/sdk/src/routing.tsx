/**
 * Addresses of the console. A page lies at `/s/<scope>/<feature>/<path>`; what is filtered, sorted and chosen is in the
 * query, so that every view can be handed on as a link.
 */
import { useRouter, useRouterState } from "@tanstack/react-router";
import { createContext, useCallback, useContext, useMemo } from "react";
import type { AnchorHTMLAttributes, MouseEvent } from "react";

import { OPERATOR } from "./resource.ts";
import type { Resource } from "./resource.ts";

export interface PagePlace {
  scope: string;
  feature: string;
  params: Record<string, string>;
}

const Place = createContext<PagePlace>({ scope: OPERATOR, feature: "", params: {} });
export const PlaceProvider = Place.Provider;

/** Where this page is: its scope, and what the `$names` of its route stand for. */
export const usePlace = (): PagePlace => useContext(Place);

type Query = Record<string, string | undefined>;

/** The address of a feature's page. */
export function pageAddress(scope: string, feature: string, path = "", query: Query = {}): string {
  const steps = path.split("/").filter(Boolean).map(encodeURIComponent);
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "");
  const search = new URLSearchParams(given).toString();
  return `/${["s", encodeURIComponent(scope), feature, ...steps].join("/")}${search && `?${search}`}`;
}

/** The generic pages of a kind and of a resource. */
export const kindAddress = (scope: string, plural: string, query?: Query): string => pageAddress(scope, "resources", plural, query);
export const resourceAddress = (scope: string, plural: string, at: string, name: string, query?: Query): string =>
  pageAddress(scope, "resources", `${plural}/${at}/${name}`, query);
export const addressOf = (scope: string, plural: string, { metadata }: Resource): string =>
  resourceAddress(scope, plural, metadata.scope, metadata.name);

/** Goes to an address of the console. */
export function useGo(): (address: string, options?: { replace?: boolean }) => void {
  const router = useRouter();
  return useCallback(
    (address, options = {}) => {
      if (options.replace) router.history.replace(address);
      else router.history.push(address);
    },
    [router],
  );
}

const opensElsewhere = (event: MouseEvent) => event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;

/** A link within the console: a real one, that opens without loading the page anew. */
export function Link({ to, onClick, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { to: string }) {
  const go = useGo();
  return (
    <a
      {...rest}
      href={to}
      onClick={(event) => {
        onClick?.(event);
        if (event.defaultPrevented || opensElsewhere(event) || rest.target) return;
        event.preventDefault();
        go(to);
      }}
    />
  );
}

export const usePathname = (): string => useRouterState({ select: (state) => state.location.pathname });

/** The page's query; `set` changes some of it, without an entry in the history. */
export function useQueryString(): [URLSearchParams, (change: Query) => void] {
  const text = useRouterState({ select: (state) => state.location.searchStr });
  const router = useRouter();
  const params = useMemo(() => new URLSearchParams(text), [text]);
  const set = useCallback(
    (change: Query) => {
      const next = new URLSearchParams(router.state.location.searchStr);
      for (const [name, value] of Object.entries(change)) {
        if (value === undefined || value === "") next.delete(name);
        else next.set(name, value);
      }
      const search = next.toString();
      router.history.replace(`${router.state.location.pathname}${search && `?${search}`}`);
    },
    [router],
  );
  return [params, set];
}

/** One word of the query: what it is, and how to change it. */
export function useQueryWord(name: string, fallback = ""): [string, (value: string) => void] {
  const [params, set] = useQueryString();
  return [params.get(name) ?? fallback, (value) => set({ [name]: value === fallback ? undefined : value })];
}

export interface TableQuery {
  text: string;
  sort: string;
  filters: Record<string, string>;
}

/** A table's filter and order, kept in the page's address. */
export function useTableQuery(): [TableQuery, (state: TableQuery) => void] {
  const [params, set] = useQueryString();
  const state = useMemo(() => {
    const filters: Record<string, string> = {};
    for (const [name, value] of params) if (name.startsWith("f.")) filters[name.slice(2)] = value;
    return { text: params.get("q") ?? "", sort: params.get("sort") ?? "", filters };
  }, [params]);
  const change = useCallback(
    (next: TableQuery) => {
      const filters = Object.fromEntries(Object.entries(next.filters).map(([id, value]) => [`f.${id}`, value]));
      set({ q: next.text, sort: next.sort, ...filters });
    },
    [set],
  );
  return [state, change];
}
