import { Link, pageAddress, resourceKey, useCan, usePlace, useResources, useTable } from "@ironworks/sdk";
import { DataTable, Empty, Page, Phase, Time, buttonClass } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";

import { PLURAL } from "./types.ts";
import type { Endpoint } from "./types.ts";
import { t } from "./words.ts";

const COLUMNS: Column<Endpoint>[] = [
  { id: "name", label: t("name"), value: (row) => row.metadata.name, width: "minmax(11rem, 1.4fr)" },
  {
    id: "phase", label: t("phase"), width: "10rem", value: (row) => row.status.phase, cell: (row) => <Phase phase={row.status.phase} />,
    options: ["Pending", "Deploying", "ModelDownloading", "Running", "Idle", "Failed", "Paused", "Deleting"],
  },
  { id: "scope", label: t("scope"), value: (row) => row.metadata.scope, secondary: true },
  { id: "model", label: t("model"), value: (row) => row.spec.model.name },
  { id: "task", label: t("task"), value: (row) => row.status.model?.task },
  {
    id: "replicas", label: t("replicas"), align: "right", width: "8rem", value: (row) => row.status.ready_replicas ?? 0,
    cell: (row) => `${row.status.ready_replicas ?? 0} / ${row.status.desired_replicas ?? 0}`,
  },
  { id: "cluster", label: t("cluster"), value: (row) => row.spec.cluster, secondary: true },
  { id: "age", label: t("age"), width: "7rem", value: (row) => Date.parse(row.metadata.creation_timestamp), cell: (row) => <Time at={row.metadata.creation_timestamp} /> },
];

export const endpointAddress = (scope: string, { metadata }: Endpoint): string => pageAddress(scope, "endpoints", `${metadata.scope}/${metadata.name}`);

export default function List() {
  const { scope } = usePlace();
  const can = useCan();
  const endpoints = useResources<Endpoint>(PLURAL, scope);
  const deploy = can("endpoint:create", scope) && (
    <Link to={pageAddress(scope, "endpoints", "new")} className={buttonClass("primary")}>
      {t("deploy")}
    </Link>
  );
  const table = useTable(endpoints, (endpoint) => endpointAddress(scope, endpoint));
  return (
    <Page fill title={t("title")} actions={deploy}>
      <DataTable
        label={t("title")}
        {...table}
        columns={COLUMNS}
        rowKey={resourceKey}
        empty={
          <Empty icon="cpu" title={t("noneTitle")} actions={deploy}>
            {t("noneHint")}
          </Empty>
        }
      />
    </Page>
  );
}
