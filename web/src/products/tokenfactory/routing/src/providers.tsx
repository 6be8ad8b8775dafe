/** Providers outside, and how they stand. */
import { Link, pageAddress, resourceKey, useCan, usePlace, useResources, useTable } from "@ironworks/sdk";
import { DataTable, Empty, Page, Phase, Time, buttonClass } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";

import { EXTERNALS, exposed, providerAddress } from "./types.ts";
import type { External } from "./types.ts";
import { t } from "./words.ts";

const hosts = ({ spec }: External): string => [...new Set(spec.upstreams.map(({ url }) => URL.parse(url)?.host ?? url))].join(", ");

const COLUMNS: Column<External>[] = [
  { id: "name", label: t("name"), value: (row) => row.metadata.display_name ?? row.metadata.name, width: "minmax(11rem, 1.2fr)" },
  {
    id: "phase", label: t("phase"), width: "8rem", value: (row) => row.status.phase, cell: (row) => <Phase phase={row.status.phase} />,
    options: ["Pending", "Running", "Degraded", "Failed", "Deleting"],
  },
  { id: "hosts", label: t("upstreams"), width: "minmax(10rem, 1.4fr)", value: hosts },
  { id: "models", label: t("models"), width: "minmax(10rem, 2fr)", value: (row) => exposed(row).join(", ") },
  { id: "scope", label: t("scope"), value: (row) => row.metadata.scope },
  {
    id: "checked", label: t("checkedAt"), width: "8rem", value: (row) => (row.status.checked_at ? Date.parse(row.status.checked_at) : null),
    cell: (row) => (row.status.checked_at ? <Time at={row.status.checked_at} /> : <span className="text-faint">{t("neverChecked")}</span>),
  },
];

export default function Providers() {
  const { scope } = usePlace();
  const can = useCan();
  const list = useResources<External>(EXTERNALS, scope, { inherited: true });
  const add = can("external-endpoint:create", scope) && (
    <Link to={pageAddress(scope, "routing", "providers/new")} className={buttonClass("primary")}>
      {t("addProvider")}
    </Link>
  );
  const table = useTable(list, (external) => providerAddress(scope, external));
  return (
    <Page fill title={t("providers")} actions={add}>
      <DataTable
        label={t("providers")}
        {...table}
        columns={COLUMNS}
        rowKey={resourceKey}
        empty={
          <Empty icon="plug" title={t("noProviders")} actions={add}>
            {t("noProvidersHint")}
          </Empty>
        }
      />
    </Page>
  );
}
