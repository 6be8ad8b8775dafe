/** Routes and external endpoints, as these pages need them. */
import { pageAddress, splitReference } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";

export const ROUTES = "routes";
export const EXTERNALS = "external-endpoints";
export const ENDPOINTS = "endpoints";

export type Strategy = "weighted" | "least_loaded" | "prefix_affine" | "lowest_latency" | "lowest_cost" | "ordered_fallback";
export const STRATEGIES: readonly Strategy[] = ["weighted", "ordered_fallback", "least_loaded", "prefix_affine", "lowest_latency", "lowest_cost"];

export interface Target {
  endpoint?: string | null;
  external?: string | null;
  model?: string | null;
  weight?: number;
  served_as?: string | null;
  price_as?: string | null;
  timeout_seconds?: number | null;
  max_concurrency?: number;
  max_queue?: number;
}

/** A type, not an interface: it is a record to those who know no kind. */
export type RouteSpec = {
  model?: string | null;
  targets: Target[];
  strategy?: Strategy;
  tries?: number;
  cache?: { ttl_seconds?: number; max_bytes?: number } | null;
};

export interface TargetHealth {
  target: string;
  healthy: boolean;
  reason: string;
  message: string;
}

/** What a controller has not written yet is not there. */
export type Route = Resource<RouteSpec, { targets?: TargetHealth[] }>;

export type Dialect = "openai" | "anthropic";

export interface Upstream {
  name: string;
  url: string;
  dialect: Dialect;
  auth: { type: "bearer" | "api_key"; credential?: string | null };
  model_mapping: Record<string, string>;
}

export interface UpstreamStatus {
  name: string;
  url: string;
  models: string[];
  phase: "Ready" | "Failed";
  error_message: string;
}

export type External = Resource<{ upstreams: Upstream[] }, { upstream_status?: UpstreamStatus[]; checked_at?: string | null }>;

/** What callers write as `model`. */
export const publicName = ({ spec, metadata }: Route): string => spec.model ?? metadata.name;

/** The names that an external endpoint exposes, each once. */
export const exposed = ({ spec }: External): string[] => [...new Set(spec.upstreams.flatMap((upstream) => Object.keys(upstream.model_mapping)))].sort();

export const routeAddress = (scope: string, { metadata }: Resource<unknown, unknown>, step = ""): string =>
  pageAddress(scope, "routing", `routes/${metadata.scope}/${metadata.name}${step && `/${step}`}`);
export const providerAddress = (scope: string, { metadata }: Resource<unknown, unknown>, step = ""): string =>
  pageAddress(scope, "routing", `providers/${metadata.scope}/${metadata.name}${step && `/${step}`}`);

/** How a target is written: `smollm2`, or `providers: gpt-4o`. */
export const targetLabel = ({ endpoint, external, model }: Target): string => endpoint ?? `${external ?? ""}: ${model ?? ""}`;

/** The page of what a target leads to, seen from `scope`. */
export function targetAddress(target: Target, at: string, scope: string): string {
  const place = splitReference(target.endpoint ?? target.external ?? "", at);
  return target.endpoint
    ? pageAddress(scope, "endpoints", `${place.scope}/${place.name}`)
    : pageAddress(scope, "routing", `providers/${place.scope}/${place.name}`);
}
