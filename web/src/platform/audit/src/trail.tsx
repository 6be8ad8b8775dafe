/** The trail of a scope and all below it: filtered in the address, newest first, alive while others work. */
import { live, pageAddress, usePages, usePlace, useQueryString, useTable } from "@ironworks/sdk";
import type { Growing } from "@ironworks/sdk";
import { Button, Callout, Choice, DataTable, Empty, Page, Time } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useMemo } from "react";

import { ExportMenu } from "./export.tsx";
import { FILTERS, FilterBar } from "./filters.tsx";
import { Outcome, RecordPanel } from "./record.tsx";
import { SPANS, startOf, trailAddress } from "./records.ts";
import type { AuditRecord, Span } from "./records.ts";
import { VerifyButton } from "./verify.tsx";
import { t } from "./words.ts";

const PAGE = 200;
/** Beyond it nobody looks through a list; filters find what is wanted. */
const MOST = 5_000;
/** How long a record may be seen after its moment: it is there when its transaction has ended. */
const LATE_MS = 60_000;

export default function Trail() {
  const { scope } = usePlace();
  const [query, setQuery] = useQueryString();
  const spanWord = query.get("range") ?? "week";
  const span = (spanWord in SPANS ? spanWord : "week") as Span;
  const since = useMemo(() => startOf(span, Date.now()), [span]);
  const filters = useMemo(() => Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? undefined])), [query]);
  const asked = useMemo(() => ({ ...filters, since }), [filters, since]);
  const pages = usePages<AuditRecord>(trailAddress(scope), asked, { limit: PAGE, ...live(scope, "audit"), grows: GROWS });
  const records = pages.items;
  const capped = pages.more && records.length >= MOST;
  const chosen = query.get("record");
  const choose = (uid: string | undefined) => setQuery({ record: uid });
  const clear = () => setQuery(Object.fromEntries(FILTERS.map((name) => [name, undefined])));
  const table = useTable({ ...pages, more: pages.more && !capped });
  return (
    <Page
      fill
      title={t("title")}
      actions={
        <>
          <Choice
            label={t("range")}
            value={span}
            onChange={(next) => setQuery({ range: next === "week" ? undefined : next })}
            options={(Object.keys(SPANS) as Span[]).map((value) => ({ value, label: t(value) }))}
          />
          <ExportMenu scope={scope} query={asked} />
          <VerifyButton scope={scope} />
        </>
      }
    >
      <FilterBar filters={filters} records={records} onFilter={setQuery} onClear={clear} />
      {capped && <Callout tone="info">{t("capped", { count: MOST })}</Callout>}
      <DataTable
        label={t("title")}
        {...table}
        columns={COLUMNS}
        rowKey={(record) => record.uid}
        onOpen={(record) => choose(record.uid)}
        hrefOf={(record) => pageAddress(scope, "audit", "", { range: "all", record: record.uid })}
        empty={
          <Empty icon="log" title={t("noneTitle")} actions={Object.values(filters).some(Boolean) && <Button onClick={clear}>{t("clear")}</Button>}>
            {t("noneHint")}
          </Empty>
        }
      />
      {chosen && (
        <RecordPanel
          scope={scope}
          uid={chosen}
          known={records.find((record) => record.uid === chosen)}
          onClose={() => choose(undefined)}
          onFilter={(change) => setQuery({ ...change, record: undefined })}
        />
      )}
    </Page>
  );
}

/** A record is told again when it is sealed, with its number. */
const GROWS: Growing<AuditRecord> = {
  id: (record) => record.uid,
  at: (record) => record.occurred_at,
  since: (newest) => ({ since: new Date(Date.parse(newest.occurred_at) - LATE_MS).toISOString() }),
};

const COLUMNS: Column<AuditRecord>[] = [
  {
    id: "when", label: t("when"), width: "8.5rem", value: (record) => Date.parse(record.occurred_at),
    cell: (record) => <Time at={record.occurred_at} />,
  },
  { id: "actor", label: t("actor"), width: "minmax(10rem, 1.3fr)", value: (record) => record.actor },
  {
    id: "action", label: t("action"), width: "minmax(10rem, 1.2fr)", value: (record) => record.action,
    cell: (record) => <span className="font-mono text-xs">{record.action}</span>,
  },
  { id: "target", label: t("target"), width: "minmax(12rem, 1.8fr)", value: (record) => `${record.target_type} ${record.target_id}`, cell: (record) => <Target record={record} /> },
  { id: "scope", label: t("scope"), width: "minmax(7rem, 1fr)", secondary: true, value: (record) => record.scope },
  { id: "result", label: t("result"), width: "6rem", value: (record) => t(record.result), cell: (record) => <Outcome result={record.result} /> },
  {
    id: "number", label: t("number"), width: "5.5rem", align: "right", secondary: true, value: (record) => record.chain_seq,
    cell: (record) => <span className="text-faint">{record.chain_seq ?? "…"}</span>,
  },
];

const Target = ({ record }: { record: AuditRecord }) => (
  <>
    {record.target_type && <span className="mr-1.5 text-faint">{record.target_type}</span>}
    {record.target_id}
  </>
);
