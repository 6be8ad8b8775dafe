/** The roles that can be given at a scope: those that are built in, and one's own. */
import { Link, OPERATOR, pageAddress, resourceKey, useCan, usePlace, useTable } from "@ironworks/sdk";
import { Badge, DataTable, Empty, Page, buttonClass } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";

import { roleScope } from "./members.ts";
import { useRoles } from "./permissions.ts";
import type { Role } from "./permissions.ts";
import { t } from "./words.ts";

export default function Roles() {
  const { scope } = usePlace();
  const can = useCan();
  const { roles, loading, error } = useRoles(scope);
  const addressOfRole = ({ metadata }: Role) => pageAddress(scope, "members", `roles/${metadata.scope}/${metadata.name}`);
  const create = can("role:create", roleScope(scope)) && (
    <Link to={pageAddress(scope, "members", "roles/new")} className={buttonClass("primary")}>
      {t("newRole")}
    </Link>
  );
  const table = useTable({ items: roles, loading, error }, addressOfRole);
  return (
    <Page fill title={t("roles")} actions={create}>
      <p className="max-w-prose text-sm text-muted">{t("rolesHint")}</p>
      <DataTable
        label={t("roles")}
        {...table}
        columns={COLUMNS}
        rowKey={resourceKey}
        empty={<Empty icon="shield" title={t("noRoles")} actions={create} />}
      />
    </Page>
  );
}

const COLUMNS: Column<Role>[] = [
  { id: "name", label: t("name"), width: "minmax(10rem, 1fr)", value: ({ metadata }) => metadata.name },
  {
    id: "origin", label: t("origin"), width: "7rem", value: ({ status }) => t(status.preset ? "preset" : "own"), options: [t("preset"), t("own")],
    cell: ({ status }) => (status.preset ? <Badge>{t("preset")}</Badge> : <Badge tone="info">{t("own")}</Badge>),
  },
  { id: "scope", label: t("scope"), width: "minmax(7rem, 0.7fr)", secondary: true, value: ({ metadata }) => (metadata.scope === OPERATOR ? t("installation") : metadata.scope) },
  { id: "permissions", label: t("permissions"), width: "8rem", align: "right", value: ({ spec }) => spec.permissions.length },
  { id: "description", label: t("description"), width: "minmax(16rem, 3fr)", secondary: true, value: ({ spec }) => spec.description },
];
