/** How a route's targets stand at the gateways, fresh as soon as one of them says something else. */
import { api, live, unwrap, useQuery } from "@ironworks/sdk";
import type { components } from "@ironworks/sdk";

import type { External, Route, TargetHealth } from "./types.ts";

export type RouteHealth = components["schemas"]["RouteCondition"];
export type TargetCondition = RouteHealth["targets"][number];
export type Figures = NonNullable<TargetCondition["figures"]>;
export type ExternalHealth = components["schemas"]["ExternalCondition"];
export type LeadingRoute = ExternalHealth["routes"][number];
/** What is told alike of a target and of an upstream. */
export type Condition = Omit<TargetCondition, "target" | "upstreams" | "figures">;
export type Standing = "well" | "ill" | "returning" | "unknown";

export function useRouteHealth({ metadata }: Route) {
  const { scope: path, name } = metadata;
  return useQuery({
    queryKey: ["route-health", path, name],
    queryFn: () => unwrap(api.GET("/api/v1/scopes/{path}/routes/{name}/health", { params: { path: { path, name } } })),
    ...live(path, "route-health", "usage", "routes"),
  });
}

/** How a provider stands, by each route that leads there. */
export function useExternalHealth({ metadata }: External) {
  const { scope: path, name } = metadata;
  return useQuery({
    queryKey: ["external-health", path, name],
    queryFn: () => unwrap(api.GET("/api/v1/scopes/{path}/external-endpoints/{name}/health", { params: { path: { path, name } } })),
    ...live(path, "route-health", "routes"),
  });
}

const FROM_WELL_TO_ILL = ["unknown", "healthy", "slow_start", "resting", "ejected"] as const;

/** An upstream as gateways see it through the routes that lead to it: each process sees it alike, whichever it came by. */
export function upstreamOf(health: ExternalHealth, upstream: string): Condition {
  const told = health.routes.flatMap(({ targets }) => targets.flatMap(({ upstreams }) => upstreams.filter((one) => one.upstream === upstream)));
  const quiet: Condition = { state: health.processes > 0 ? "healthy" : "unknown", until: null, reason: "", failed_at: null, in_flight: 0, queued: 0, processes: health.processes };
  return told.reduce<Condition>((worst, one) => (FROM_WELL_TO_ILL.indexOf(one.state) > FROM_WELL_TO_ILL.indexOf(worst.state) ? one : worst), told[0] ?? quiet);
}

/** What gateways see counts before what the controller last found; what it alone knows, that an endpoint is paused say, too. */
export function standingOf(seen: Condition | undefined, found: TargetHealth | undefined): Standing {
  if (seen?.state === "ejected") return "ill";
  if (found && !found.healthy && found.reason !== "Ejected") return "ill";
  if (seen?.state === "slow_start" || seen?.state === "resting") return "returning";
  if (seen?.state === "healthy") return "well";
  return found ? (found.healthy ? "well" : "ill") : "unknown";
}

/** Whether there is more to say of it than that it serves. */
export const isTold = ({ state }: Condition): boolean => state !== "healthy" && state !== "unknown";

/** Seconds until a moment, 0 once it is over; null where there is none. */
export const secondsUntil = (until: string | null, now: Date): number | null =>
  until === null ? null : Math.max(0, Math.ceil((Date.parse(until) - now.getTime()) / 1000));
