/** The trail of a scope and all below it: filtered in the address, newest first, alive while others work. */
import { onChange, pageAddress, request, useLiveStatus, usePages, usePlace, useQueryString, useTable } from "@ironworks/sdk";
import { Button, Callout, Choice, DataTable, Empty, Page, Time } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useEffect, useMemo, useState } from "react";

import { ExportMenu } from "./export.tsx";
import { FILTERS, FilterBar } from "./filters.tsx";
import { Outcome, RecordPanel } from "./record.tsx";
import { SPANS, startOf, trailAddress, withNewer } from "./records.ts";
import type { AuditRecord, Span } from "./records.ts";
import { VerifyButton } from "./verify.tsx";
import { t } from "./words.ts";

const PAGE = 200;
/** Beyond it nobody looks through a list; filters find what is wanted. */
const MOST = 5_000;
const SETTLED_MS = 700;
const RECENT_MS = 2_000;

export default function Trail() {
  const { scope } = usePlace();
  const [query, setQuery] = useQueryString();
  const spanWord = query.get("range") ?? "week";
  const span = (spanWord in SPANS ? spanWord : "week") as Span;
  const since = useMemo(() => startOf(span, Date.now()), [span]);
  const filters = useMemo(() => Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? undefined])), [query]);
  const asked = useMemo(() => ({ ...filters, since }), [filters, since]);
  const pages = usePages<AuditRecord>(trailAddress(scope), asked, { limit: PAGE });
  const newer = useNewer(scope, asked, pages.items);
  const records = useMemo(() => withNewer(pages.items, newer), [pages.items, newer]);
  const capped = pages.more && records.length >= MOST;
  const chosen = query.get("record");
  const choose = (uid: string | undefined) => setQuery({ record: uid });
  const clear = () => setQuery(Object.fromEntries(FILTERS.map((name) => [name, undefined])));
  const table = useTable({ ...pages, items: records, more: pages.more && !capped });
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

/**
 * What was recorded since the page was read. There is no stream of records; but whoever changes something leaves one, and
 * of changes there is. So it looks when something changed, and when the person comes back to the window.
 */
function useNewer(scope: string, asked: Record<string, string | undefined>, items: readonly AuditRecord[]): AuditRecord[] {
  const key = JSON.stringify([scope, asked]);
  const [found, setFound] = useState<{ key: string; records: AuditRecord[] }>({ key, records: [] });
  const own = found.key === key ? found.records : NONE;
  const last = (own[0] ?? items[0])?.occurred_at ?? asked["since"];
  const { state, since: stateSince } = useLiveStatus();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = new AbortController();
    const look = async () => {
      const given = Object.entries({ ...asked, since: last, limit: String(PAGE) }).filter((entry): entry is [string, string] => Boolean(entry[1]));
      try {
        const { items: fresh } = await request<{ items: AuditRecord[] }>(`${trailAddress(scope)}?${new URLSearchParams(given)}`, { signal: stop.signal });
        setFound((before) => ({ key, records: withNewer(before.key === key ? before.records : [], fresh) }));
      } catch {
        // the list itself tells what is wrong; what is missing comes with the next look
      }
    };
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(() => void look(), SETTLED_MS);
    };
    const back = () => document.visibilityState === "visible" && soon();
    if (state === "live" && Date.now() - stateSince.getTime() < RECENT_MS) soon(); // what came while nobody could tell
    const unsubscribe = onChange(soon);
    document.addEventListener("visibilitychange", back);
    addEventListener("focus", soon);
    return () => {
      stop.abort();
      clearTimeout(timer);
      unsubscribe();
      document.removeEventListener("visibilitychange", back);
      removeEventListener("focus", soon);
    };
  }, [scope, asked, key, last, state, stateSince]);
  return own;
}

const NONE: AuditRecord[] = [];

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
