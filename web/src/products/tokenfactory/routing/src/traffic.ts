/** What went through a route in the last day, as soon as it is charged. */
import { api, live, unwrap, useCan, useQuery } from "@ironworks/sdk";

const DAY_MS = 86_400_000;

export function useTraffic(scope: string, uid: string) {
  const may = useCan()("usage:read", scope);
  return useQuery({
    queryKey: ["route-traffic", scope, uid],
    enabled: may,
    queryFn: () => {
      const since = new Date(Date.now() - DAY_MS).toISOString();
      return unwrap(api.GET("/api/v1/scopes/{path}/analytics", { params: { path: { path: scope }, query: { since, by: "target", route_uid: uid } } }));
    },
    ...live(scope, "usage"),
  });
}

export type Traffic = NonNullable<ReturnType<typeof useTraffic>["data"]>;
