/** What went through a route in the last day, and through each of its targets. */
import { api, live, unwrap, useCan, useQuery } from "@ironworks/sdk";

const DAY_MS = 86_400_000;

export function useTraffic(scope: string, model: string) {
  const may = useCan()("usage:read", scope);
  return useQuery({
    queryKey: ["route-traffic", scope, model],
    enabled: may,
    ...live(scope, "usage"),
    queryFn: () => {
      const since = new Date(Date.now() - DAY_MS).toISOString();
      return unwrap(api.GET("/api/v1/scopes/{path}/analytics", { params: { path: { path: scope }, query: { since, by: "endpoint", route: model } } }));
    },
  });
}

export type Traffic = NonNullable<ReturnType<typeof useTraffic>["data"]>;
export type Figures = Traffic["items"][number];
