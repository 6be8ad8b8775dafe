/** The routes that can be called here: those declared at the scope and below, and those handed down from above. */
import { Link, covers, pageAddress, resourceKey, useCan, usePlace, useResources, useTable } from "@ironworks/sdk";
import { Badge, DataTable, Empty, Page, Phase, Time, buttonClass } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useMemo } from "react";

import { ROUTES, publicName, routeAddress, targetLabel } from "./types.ts";
import type { Route } from "./types.ts";
import { strategyName, t } from "./words.ts";

const handedDown = ({ metadata }: Route, scope: string): boolean => metadata.scope !== scope && covers(metadata.scope, scope);

function columnsAt(scope: string): Column<Route>[] {
  return [
    { id: "model", label: t("model"), value: publicName, width: "minmax(11rem, 1.4fr)" },
    {
      id: "phase", label: t("phase"), width: "8rem", value: (row) => row.status.phase, cell: (row) => <Phase phase={row.status.phase} />,
      options: ["Pending", "Ready", "Degraded", "Failed", "Deleting"],
    },
    { id: "targets", label: t("targets"), width: "minmax(12rem, 2fr)", value: (row) => row.spec.targets.map(targetLabel).join(", "), cell: (row) => <Targets route={row} /> },
    { id: "strategy", label: t("strategy"), width: "9rem", value: (row) => strategyName(row.spec.strategy ?? "weighted") },
    {
      id: "scope", label: t("scope"), width: "minmax(9rem, 1fr)", value: (row) => row.metadata.scope,
      cell: (row) => (
        <span className="flex items-center gap-2">
          <span className="clip-line">{row.metadata.scope}</span>
          {handedDown(row, scope) && <Badge>{t("fromAbove")}</Badge>}
        </span>
      ),
    },
    { id: "cache", label: t("cache"), width: "6rem", value: (row) => (row.spec.cache ? t("on") : "") },
    { id: "age", label: t("age"), width: "7rem", value: (row) => Date.parse(row.metadata.creation_timestamp), cell: (row) => <Time at={row.metadata.creation_timestamp} /> },
  ];
}

function Targets({ route }: { route: Route }) {
  const health = route.status.targets ?? [];
  const well = health.filter((one) => one.healthy).length;
  return (
    <span className="flex min-w-0 items-center gap-2">
      {health.length > 0 && (
        <span className={well < health.length ? "nums text-xs text-bad" : "nums text-xs text-muted"}>
          {well}/{health.length}
        </span>
      )}
      <span className="clip-line">{route.spec.targets.map(targetLabel).join(", ")}</span>
    </span>
  );
}

export default function List() {
  const { scope } = usePlace();
  const can = useCan();
  const routes = useResources<Route>(ROUTES, scope, { inherited: true });
  const columns = useMemo(() => columnsAt(scope), [scope]);
  const create = can("route:create", scope) && (
    <Link to={pageAddress(scope, "routing", "routes/new")} className={buttonClass("primary")}>
      {t("newRoute")}
    </Link>
  );
  const table = useTable(routes, (route) => routeAddress(scope, route));
  return (
    <Page fill title={t("routes")} actions={create}>
      <DataTable
        label={t("routes")}
        {...table}
        columns={columns}
        rowKey={resourceKey}
        empty={
          <Empty icon="route" title={t("noRoutes")} actions={create}>
            {t("noRoutesHint")}
          </Empty>
        }
      />
    </Page>
  );
}
