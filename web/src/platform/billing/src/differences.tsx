/** Where our books and the payment provider's differ. */
import { live, usePages, useQueryWord, useTable } from "@ironworks/sdk";
import { Badge, Choice, DataTable, Empty, Page, Time } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";

import { showDay } from "./days.ts";
import type { PaymentDifference } from "./types.ts";
import { t } from "./words.ts";

interface More {
  compared_on: string | null;
  compared: number;
}

const COLUMNS: Column<PaymentDifference>[] = [
  { id: "kind", label: t("kind"), width: "8rem", value: (row) => row.kind, cell: (row) => <Badge tone={row.gone_at ? "idle" : "warn"}>{row.kind}</Badge> },
  { id: "reference", label: t("reference"), width: "minmax(12rem, 1.5fr)", value: (row) => row.reference, cell: (row) => <span className="font-mono text-xs">{row.reference}</span> },
  { id: "ours", label: t("ours"), value: (row) => row.ours },
  { id: "theirs", label: t("theirs"), value: (row) => row.theirs },
  { id: "found", label: t("found"), width: "8rem", secondary: true, value: (row) => Date.parse(row.found_at), cell: (row) => <Time at={row.found_at} /> },
  {
    id: "gone", label: t("gone"), width: "8rem", secondary: true, value: (row) => (row.gone_at ? Date.parse(row.gone_at) : null),
    cell: (row) => (row.gone_at ? <Time at={row.gone_at} /> : <span className="text-faint">–</span>),
  },
];

export default function Differences() {
  const [which, setWhich] = useQueryWord("which", "open");
  const list = usePages<PaymentDifference, More>("/api/v1/payment-differences", { gone: which === "all" ? "true" : undefined }, live("-", "payment-differences"));
  const compared = list.first?.compared_on;
  const table = useTable(list);
  return (
    <Page
      fill
      title={t("differences")}
      meta={list.first && <span className="text-sm text-muted">{compared ? t("comparedOn", { day: showDay(compared), count: list.first.compared }) : t("neverCompared")}</span>}
      actions={
        <Choice label={t("differences")} value={which} onChange={setWhich} options={[{ value: "open", label: t("openOnly") }, { value: "all", label: t("goneToo") }]} />
      }
    >
      <DataTable
        label={t("differences")}
        {...table}
        columns={COLUMNS}
        rowKey={(row) => row.id}
        empty={
          <Empty icon="verified" title={t("noDifferences")}>
            {t("noDifferencesHint")}
          </Empty>
        }
      />
    </Page>
  );
}
