/** The usage behind one line of an invoice: its requests, or the transfer that it is. */
import { Link, live, pageAddress, tell, usePages, usePlace, useTable } from "@ironworks/sdk";
import { DataTable, Empty, Loading, Page, Stat, buttonClass, formatNumber } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";

import { priceWords } from "./invoice-lines.tsx";
import { lineWords } from "./line-words.ts";
import { nanoOf, toNumber } from "./money.ts";
import { Day, Money } from "./parts.tsx";
import type { Behind, InvoiceLine } from "./types.ts";
import { t } from "./words.ts";

interface More {
  line: InvoiceLine;
  transfers: string[];
}

const columnsOf = (scope: string): Column<Behind>[] => [
  { id: "request", label: t("request"), value: (row) => row.request_id, width: "minmax(11rem, 2fr)", cell: (row) => <span className="font-mono text-xs">{row.request_id}</span> },
  { id: "day", label: t("day"), width: "8rem", secondary: true, value: (row) => row.day, cell: (row) => <Day day={row.day} /> },
  { id: "quantity", label: t("quantity"), align: "right", secondary: true, width: "minmax(6rem, 1fr)", value: (row) => row.quantity, cell: (row) => formatNumber(row.quantity) },
  { id: "amount", label: t("amount"), align: "right", width: "minmax(7rem, 1fr)", value: (row) => toNumber(nanoOf(row.amount)), cell: (row) => <Money exact amount={row.amount} /> },
  {
    id: "transfer", label: t("transfer"), width: "minmax(8rem, 1fr)", secondary: true, value: (row) => row.transfer_id,
    cell: (row) => (
      <Link to={pageAddress(scope, "billing", `ledger/${row.transfer_id}`)} className="font-mono text-xs hover:text-accent hover:underline">
        {row.transfer_id.slice(0, 8)}…
      </Link>
    ),
  },
];

export default function Line() {
  const { scope, params } = usePlace();
  const list = usePages<Behind, More>(`/api/v1/invoice-lines/${encodeURIComponent(params["line"] ?? "")}`, {}, { limit: 200, ...live(scope, "invoices") });
  const table = useTable(list, (row) => pageAddress(scope, "requests", row.request_id));
  if (list.error) {
    return (
      <Empty icon="receipt" title={t("lineGone")}>
        {tell(list.error)}
      </Empty>
    );
  }
  if (!list.first) return <Loading />;
  const { line, transfers } = list.first;
  return (
    <Page
      fill
      title={lineWords(line)}
      actions={
        <Link to={pageAddress(scope, "billing", `invoices/${params["invoice"] ?? ""}`)} className={buttonClass("normal")}>
          {params["invoice"]}
        </Link>
      }
    >
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
        <Stat label={t("amount")} value={<Money exact amount={line.amount} />} />
        {line.quantity !== null && <Stat label={t("quantity")} value={formatNumber(Number(line.quantity))} />}
        {line.unit_price !== null && <Stat label={t("unitPrice")} value={priceWords(line)} />}
        <Stat label={t("scope")} value={<span className="text-lg break-words">{line.scope}</span>} />
      </div>
      {line.kind === "usage" ? (
        <DataTable
          label={t("behind")}
          {...table}
          columns={columnsOf(scope)}
          rowKey={(row) => row.request_id}
          empty={<Empty icon="activity" title={t("noLines")} />}
        />
      ) : (
        <div className="panel">
          <Empty
            icon="route"
            title={t("behindNothing")}
            actions={transfers.map((id) => (
              <Link key={id} to={pageAddress(scope, "billing", `ledger/${id}`)} className={buttonClass("normal")}>
                {t("openTransfer")}
              </Link>
            ))}
          />
        </div>
      )}
    </Page>
  );
}
