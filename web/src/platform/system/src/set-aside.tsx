/** Usage that was handed in and could not be counted: which, and why. */
import { live, request, useQuery, useQueryWord, useTable } from "@ironworks/sdk";
import { Callout, CodeBlock, DataTable, Dialog, Empty, Facts, Page, Time, words } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";

import { t } from "./words.ts";

interface Case {
  event_id: string;
  reason: string;
  problem: string;
  content: Record<string, unknown>;
  recorded_at: string;
}

const MOST = 500;

export default function SetAside() {
  const [chosen, setChosen] = useQueryWord("event");
  const cases = useQuery({
    queryKey: ["set-aside"],
    ...live("-", "usage"),
    queryFn: () => request<{ items: Case[] }>(`/api/v1/scopes/-/usage/set-aside?limit=${MOST}`).then(({ items }) => items),
  });
  const rows = cases.data ?? [];
  const one = rows.find((found) => found.event_id === chosen);
  const table = useTable({ items: rows, loading: cases.isPending, error: cases.error });
  return (
    <Page fill title={t("setAside")}>
      {rows.length > 0 && <p className="max-w-prose text-sm text-muted">{t("setAsideHint")}</p>}
      <DataTable
        label={t("setAside")}
        {...table}
        columns={columnsOf(rows)}
        rowKey={(found) => `${found.event_id} ${found.recorded_at}`}
        onOpen={(found) => setChosen(found.event_id)}
        empty={
          <Empty icon="ok" title={t("noSetAside")}>
            {t("setAsideHint")}
          </Empty>
        }
      />
      {one && (
        <Dialog open onClose={() => setChosen("")} title={words(one.reason)} wide>
          <div className="flex flex-col gap-4">
            <Callout tone="bad">{one.problem}</Callout>
            <Facts
              items={[
                { label: t("event"), value: <span className="font-mono text-xs">{one.event_id}</span> },
                { label: t("recorded"), value: <Time at={one.recorded_at} exact /> },
              ]}
            />
            <CodeBlock label={t("content")} text={JSON.stringify(one.content, null, 2)} wrap />
          </div>
        </Dialog>
      )}
    </Page>
  );
}

function columnsOf(rows: readonly Case[]): Column<Case>[] {
  return [
    { id: "event", label: t("event"), width: "minmax(12rem, 1.2fr)", value: (one) => one.event_id },
    { id: "reason", label: t("reason"), width: "minmax(8rem, 0.8fr)", value: (one) => words(one.reason), options: [...new Set(rows.map((one) => words(one.reason)))].sort() },
    { id: "problem", label: t("problem"), width: "minmax(16rem, 2.5fr)", value: (one) => one.problem, cell: (one) => <span className="text-muted">{one.problem}</span> },
    { id: "recorded", label: t("recorded"), width: "8rem", value: (one) => Date.parse(one.recorded_at), cell: (one) => <Time at={one.recorded_at} /> },
  ];
}
