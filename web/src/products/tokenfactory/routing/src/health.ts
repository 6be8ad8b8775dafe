/** How a route's targets stand at the gateways, fresh as soon as one of them says something else. */
import { api, live, unwrap, useQuery } from "@ironworks/sdk";
import type { components } from "@ironworks/sdk";

import type { Route, TargetHealth } from "./types.ts";

export type RouteHealth = components["schemas"]["RouteCondition"];
export type TargetCondition = RouteHealth["targets"][number];
export type Figures = NonNullable<TargetCondition["figures"]>;
export type Standing = "well" | "ill" | "returning" | "unknown";

export function useRouteHealth({ metadata }: Route) {
  const { scope: path, name } = metadata;
  return useQuery({
    queryKey: ["route-health", path, name],
    queryFn: () => unwrap(api.GET("/api/v1/scopes/{path}/routes/{name}/health", { params: { path: { path, name } } })),
    ...live(path, "route-health", "usage", "routes"),
  });
}

/** What gateways see counts before what the controller last found; what it alone knows, that an endpoint is paused say, too. */
export function standingOf(seen: TargetCondition | undefined, found: TargetHealth | undefined): Standing {
  if (seen?.state === "ejected") return "ill";
  if (found && !found.healthy && found.reason !== "Ejected") return "ill";
  if (seen?.state === "slow_start" || seen?.state === "resting") return "returning";
  if (seen?.state === "healthy") return "well";
  return found ? (found.healthy ? "well" : "ill") : "unknown";
}

/** Seconds until a moment, 0 once it is over; null where there is none. */
export const secondsUntil = (until: string | null, now: Date): number | null =>
  until === null ? null : Math.max(0, Math.ceil((Date.parse(until) - now.getTime()) / 1000));
