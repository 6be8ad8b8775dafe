/** The keys at a scope and below, and what can be done to each. */
import { levelOf, resourceKey, useCan, useGo, usePlace, useQueryWord, useResources, useTable } from "@ironworks/sdk";
import { Button, DataTable, Empty, IconButton, Page, Phase, Time } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useState } from "react";

import { Actions } from "./actions.tsx";
import { CreateDialog, ShownOnce } from "./create.tsx";
import { PLURAL, keyAddress } from "./types.ts";
import type { Issued, Key } from "./types.ts";
import { t } from "./words.ts";

export default function Keys() {
  const { scope } = usePlace();
  const can = useCan();
  const [creating, setCreating] = useQueryWord("create");
  const [issued, setIssued] = useState<Issued | null>(null);
  const keys = useResources<Key>(PLURAL, scope);
  const mayCreate = can("api-key:create", scope) && (levelOf(scope) !== "operator" || can("api-key:create", "-"));
  const create = mayCreate && (
    <Button look="primary" icon="plus" onClick={() => setCreating("1")}>
      {t("create")}
    </Button>
  );
  const table = useTable(keys, (key) => keyAddress(scope, key));
  return (
    <Page fill title={t("title")} actions={create}>
      <DataTable
        label={t("title")}
        {...table}
        columns={columns(scope, setIssued)}
        rowKey={resourceKey}
        empty={
          <Empty icon="key" title={t("noneTitle")} actions={create}>
            {t("noneHint")}
          </Empty>
        }
      />
      {creating && mayCreate && (
        <CreateDialog
          scope={scope}
          onClose={() => setCreating("")}
          onIssued={(made) => {
            setCreating("");
            setIssued(made);
          }}
        />
      )}
      {issued && <ShownOnce issued={issued} onClose={() => setIssued(null)} />}
    </Page>
  );
}

function columns(scope: string, onIssued: (issued: Issued) => void): Column<Key>[] {
  return [
    { id: "name", label: t("name"), value: (key) => key.metadata.name, width: "minmax(11rem, 1.4fr)" },
    {
      id: "phase", label: t("phase"), value: (key) => key.status.phase, cell: (key) => <Phase phase={key.status.phase} />, width: "8.5rem",
      options: ["Pending", "Ready", "Disabled", "Expired"],
    },
    { id: "scope", label: t("scope"), value: ({ metadata }) => (metadata.scope === "-" ? t("installation") : metadata.scope), width: "minmax(8rem, 1fr)" },
    { id: "owner", label: t("owner"), value: (key) => key.status.owner, width: "minmax(10rem, 1.2fr)" },
    {
      id: "used", label: t("lastUsed"), width: "8rem", value: (key) => (key.status.last_used_at ? Date.parse(key.status.last_used_at) : null),
      cell: (key) => (key.status.last_used_at ? <Time at={key.status.last_used_at} /> : <span className="text-faint">{t("notYet")}</span>),
    },
    {
      id: "expires", label: t("expires"), width: "8rem", value: (key) => (key.spec.expires_at ? Date.parse(key.spec.expires_at) : null),
      cell: (key) => (key.spec.expires_at ? <Time at={key.spec.expires_at} /> : <span className="text-faint">{t("never")}</span>),
    },
    { id: "actions", label: "", value: () => null, cell: (key) => <RowActions item={key} scope={scope} onIssued={onIssued} />, width: "3.5rem" },
  ];
}

function RowActions({ item, scope, onIssued }: { item: Key; scope: string; onIssued: (issued: Issued) => void }) {
  const go = useGo();
  const trigger = <IconButton icon="more" label={t("actions", { name: item.metadata.name })} size="small" />;
  return <Actions item={item} trigger={trigger} onDetails={() => go(keyAddress(scope, item))} onIssued={onIssued} />;
}
