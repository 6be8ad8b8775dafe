/**
 * What the shell and every page know from one call: who is here, what may be done where, which scopes, kinds and
 * features there are. Gates in the console are a courtesy; the API checks every call again.
 */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { createContext, useContext } from "react";

import { request } from "./api.ts";
import type { FeatureManifest } from "./contract.ts";
import { covers } from "./resource.ts";
import type { Kind, KindDetail } from "./resource.ts";
import { live } from "./topics.ts";

export interface Caller {
  uid: string;
  kind: string;
  name: string;
}

export interface ScopeNode {
  path: string;
  kind: "Account" | "Platform" | "Tenant";
  display_name: string | null;
  phase: string;
}

/** A feature as the current platform has it; one that is not built in says where its module is. */
export interface FeatureView {
  manifest: FeatureManifest;
  enabled: boolean;
  built_in: boolean;
  url: string | null;
  integrity: string | null;
}

export interface Bootstrap {
  version: string;
  caller: Caller;
  /** What the caller's pages remember, wherever he signs in. */
  preferences: Record<string, unknown>;
  /** Mails are sent; where they are not, the operator hands links over. */
  mail: boolean;
  /** Permission → the topmost scopes at which it is held; it reaches all below. */
  permissions: Record<string, string[]>;
  scopes: ScopeNode[];
  more_scopes: boolean;
  kinds: Kind[];
  /** What the stream tells that is of no kind, and the permission that it takes. */
  topics: { name: string; permission: string }[];
  features: FeatureView[];
  /** Addresses of what else here pages may call: `gateway`, which answers below `/v1`. */
  services: Record<string, string>;
}

export interface ConsoleInfo {
  version: string;
  sign_in: { password: boolean; oidc: { id: string; label: string; url: string }[] };
  setup_needed: boolean;
  /** Mails are sent; where they are not, the operator hands links over. */
  mail: boolean;
}

const Current = createContext<Bootstrap | null>(null);
export const BootstrapProvider = Current.Provider;

export const fetchBootstrap = (scope: string): Promise<Bootstrap> =>
  request<Bootstrap>(`/api/v1/console/bootstrap?scope=${encodeURIComponent(scope)}`);

export const bootstrapQuery = (scope: string) => ({
  queryKey: ["bootstrap", scope],
  queryFn: () => fetchBootstrap(scope),
  ...live(scope, "features"),
  staleTime: 5 * 60_000,
  placeholderData: keepPreviousData,
});

export function useBootstrap(): Bootstrap {
  const found = useContext(Current);
  if (!found) throw new Error("useBootstrap outside of the shell");
  return found;
}

/** Whether the caller holds `permission` at `scope`. */
export const holds = (bootstrap: Bootstrap, permission: string, scope: string): boolean =>
  (bootstrap.permissions[permission] ?? []).some((granted) => covers(granted, scope));

/** Whether it is held at `scope` or at anything below it. */
export const holdsWithin = (bootstrap: Bootstrap, permission: string, scope: string): boolean =>
  (bootstrap.permissions[permission] ?? []).some((granted) => covers(granted, scope) || covers(scope, granted));

export function useCan(): (permission: string, scope: string) => boolean {
  const bootstrap = useBootstrap();
  return (permission, scope) => holds(bootstrap, permission, scope);
}

/** Whether the platform has a feature: what is switched off is not linked to. */
export function useFeature(id: string): boolean {
  return useBootstrap().features.find(({ manifest }) => manifest.id === id)?.enabled ?? true;
}

export function useKind(plural: string): Kind | undefined {
  return useBootstrap().kinds.find((kind) => kind.plural === plural);
}

/** Kinds with their schemas; fetched once, when a page first needs them. */
export function useKindDetail(plural: string): KindDetail | undefined {
  const { data } = useQuery({
    queryKey: ["kinds"],
    queryFn: () => request<{ items: KindDetail[] }>("/api/v1/kinds"),
    staleTime: Infinity,
  });
  return data?.items.find((kind) => kind.plural === plural);
}
