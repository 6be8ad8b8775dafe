/** One transfer: between whom, what it takes back, and the requests that it moved. */
import { Link, live, pageAddress, request, tell, usePlace, useQuery, useTable } from "@ironworks/sdk";
import type { components } from "@ironworks/sdk";
import { Badge, Button, DataTable, Empty, Facts, Icon, Id, Loading, Page, Section, Time, formatNumber, words } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useState } from "react";

import { nanoOf, showExact, showPrice, toNumber } from "./money.ts";
import { Day, Money, scopeWords } from "./parts.tsx";
import { t } from "./words.ts";

type Chain = components["schemas"]["TransferLinesPage"];
type Rated = Chain["lines"][number];

const COLUMNS: Column<Rated>[] = [
  { id: "request", label: t("request"), value: (row) => row.request_id, width: "minmax(8rem, 2fr)", cell: (row) => <span className="font-mono text-xs">{row.request_id}</span> },
  { id: "meter", label: t("meter"), width: "minmax(6rem, 1fr)", value: (row) => words(row.meter) },
  { id: "quantity", label: t("quantity"), align: "right", secondary: true, width: "minmax(6rem, 1fr)", value: (row) => row.quantity, cell: (row) => formatNumber(row.quantity) },
  {
    id: "price", label: t("price"), align: "right", width: "minmax(8rem, 1fr)", secondary: true, value: (row) => Number(row.unit_price),
    cell: (row) => <PriceCell row={row} />,
  },
  { id: "cost", label: t("amount"), align: "right", width: "minmax(5.5rem, 1fr)", value: (row) => toNumber(nanoOf(row.cost)), cell: (row) => <Money exact amount={row.cost} /> },
];

function PriceCell({ row }: { row: Rated }) {
  const { amount, million } = showPrice(row.unit_price, row.cost.currency);
  return <span className="text-xs text-muted">{million ? t("million", { price: amount }) : amount}</span>;
}

/** The pages so far, and the next one. */
function useChain(id: string, scope: string) {
  const [cursors, setCursors] = useState<string[]>([""]);
  const query = useQuery({
    queryKey: ["billing", "transfer", id, cursors],
    ...live(scope, "ledger"),
    placeholderData: (before: Chain[] | undefined) => before,
    queryFn: async () => {
      const pages: Chain[] = [];
      for (const cursor of cursors) {
        const more = new URLSearchParams({ limit: "200", ...(cursor && { cursor }) });
        pages.push(await request<Chain>(`/api/v1/billing/transfers/${encodeURIComponent(id)}?${more}`));
      }
      return pages;
    },
  });
  const next = query.data?.at(-1)?.next_cursor ?? null;
  return { pages: query.data, error: query.error, more: next !== null, loadMore: () => next && !query.isFetching && setCursors([...cursors, next]) };
}

export default function TransferPage() {
  const { scope, params } = usePlace();
  const { pages, error, more, loadMore } = useChain(params["transfer"] ?? "", scope);
  const first = pages?.[0];
  const lines = pages?.flatMap((page) => page.lines) ?? [];
  const table = useTable({ items: lines, more, loadMore }, (row) => pageAddress(scope, "requests", row.request_id));
  if (error) {
    return (
      <Empty icon="route" title={t("transferGone")}>
        {tell(error)}
      </Empty>
    );
  }
  if (!first) return <Loading />;
  const { transfer, corrected_by } = first;
  return (
    <Page
      fill={lines.length > 0}
      title={t("transferTitle", { amount: showExact(transfer.moved) })}
      meta={<Badge tone={transfer.kind === "reversal" || corrected_by ? "warn" : "idle"}>{words(transfer.kind)}</Badge>}
    >
      <Section>
        <div className="flex flex-wrap items-center gap-x-8 gap-y-3">
          <Side title={t("debit")} side={transfer.debit} />
          <span className="flex items-center gap-2 text-lg font-semibold">
            <Icon name="right" className="text-faint" />
            {showExact(transfer.moved)}
            <Icon name="right" className="text-faint" />
          </span>
          <Side title={t("credited")} side={transfer.credit} />
        </div>
      </Section>
      <Section>
        <Facts
          items={[
            { label: "ID", value: <Id text={transfer.id} /> },
            { label: t("posted"), value: <Time at={transfer.posted_at} /> },
            { label: t("belongsTo"), value: <Day day={transfer.day} /> },
            { label: t("correlation"), value: <span className="font-mono text-xs break-all">{transfer.correlation}</span> },
            ...(transfer.corrects ? [{ label: t("corrects"), value: <Other id={transfer.corrects} scope={scope} /> }] : []),
            ...(corrected_by ? [{ label: t("correctedBy"), value: <Other id={corrected_by} scope={scope} /> }] : []),
          ]}
        />
      </Section>
      {lines.length === 0 ? (
        <p className="text-sm text-muted">{t("noChain")}</p>
      ) : (
        <>
          <p className="text-xs text-faint">{t("chainHint")}</p>
          <DataTable
            label={t("chain")}
            {...table}
            columns={COLUMNS}
            rowKey={(row) => `${row.request_id}-${row.meter}`}
            empty={null}
            tools={more && <Button small onClick={loadMore}>{t("more")}</Button>}
          />
        </>
      )}
    </Page>
  );
}

const Side = ({ title, side }: { title: string; side: Chain["transfer"]["debit"] }) => (
  <div className="min-w-0">
    <span className="block text-xs text-faint">{title}</span>
    <span className="block font-medium">{words(side.purpose)}</span>
    <span className="block text-xs break-words text-muted">{scopeWords(side.scope)}</span>
  </div>
);

const Other = ({ id, scope }: { id: string; scope: string }) => (
  <Link to={pageAddress(scope, "billing", `ledger/${id}`)} className="font-mono text-xs text-accent hover:underline">
    {id}
  </Link>
);
