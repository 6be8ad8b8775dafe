/** Today's figures of a scope. */
import { api, live, unwrap, useCan, useQuery } from "@ironworks/sdk";

/** Midnight of the viewer's day. */
export function startOfToday(now = new Date()): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate());
}

export function useToday(scope: string) {
  const may = useCan()("usage:read", scope);
  const since = startOfToday().toISOString();
  return useQuery({
    queryKey: ["analytics", scope, since],
    enabled: may,
    ...live(scope, "usage"),
    queryFn: () =>
      unwrap(api.GET("/api/v1/scopes/{path}/analytics", { params: { path: { path: scope }, query: { since, by: "model", interval: "hour" } } })),
  });
}

export type Today = NonNullable<ReturnType<typeof useToday>["data"]>;

/** Requests of each hour since midnight until now, all models together. */
export function hourly(today: Today, now = new Date()): { times: number[]; values: number[] } {
  const first = startOfToday(now).getTime();
  const hours = Math.floor((now.getTime() - first) / 3_600_000) + 1;
  const values = new Array<number>(hours).fill(0);
  for (const group of today.items) {
    for (const point of group.series ?? []) {
      const hour = Math.floor((Date.parse(point.at) - first) / 3_600_000);
      if (hour >= 0 && hour < hours) values[hour] = (values[hour] ?? 0) + point.requests;
    }
  }
  return { times: values.map((_, hour) => first / 1000 + hour * 3600), values };
}
