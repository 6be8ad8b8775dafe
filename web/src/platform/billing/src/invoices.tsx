/** An account's invoices, newest first; the operator's scope shows everybody's. */
import { api, live, pageAddress, unwrap, useCan, usePages, usePlace, useTable } from "@ironworks/sdk";
import { Button, DataTable, Empty, Field, Input, Page, notify } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useState } from "react";

import { NotYours, accountOf } from "./account.tsx";
import { addDays, showPeriod, today } from "./days.ts";
import { FormDialog } from "./form-dialog.tsx";
import { nanoOf, toNumber } from "./money.ts";
import { Day, InvoiceState, Money, Tail, nameOf, stateWords } from "./parts.tsx";
import type { Invoice } from "./types.ts";
import { t } from "./words.ts";

const STATES = ["toPay", "overdue", "paid", "draft", "void", "writtenOff"] as const;

/** The columns; whose invoice it is, only where everybody's are listed. */
function columnsOf(everybody: boolean): Column<Invoice>[] {
  const money = (id: string, label: string, of: (invoice: Invoice) => Invoice["total"], secondary: boolean): Column<Invoice> => ({
    id, label, align: "right", width: "minmax(5.5rem, 1fr)", secondary, value: (row) => toNumber(nanoOf(of(row))), cell: (row) => <Money amount={of(row)} />,
  });
  return [
    { id: "number", label: t("number"), value: nameOf, width: "minmax(8.5rem, 1.4fr)", cell: (row) => <Tail text={nameOf(row)} from="-" /> },
    ...(everybody ? [{ id: "account", label: t("account"), value: (row: Invoice) => row.account, width: "minmax(7rem, 1fr)" }] : []),
    {
      id: "state", label: t("state"), width: "6rem", value: stateWords, cell: (row) => <InvoiceState invoice={row} />,
      options: STATES.map((word) => t(word)),
    },
    {
      id: "period", label: t("period"), width: "minmax(13rem, 1.6fr)", value: (row) => Date.parse(row.period_start), secondary: true,
      cell: (row) => showPeriod(row.period_start, row.period_end),
    },
    money("total", t("total"), (row) => row.total, false),
    money("due", t("due"), (row) => row.due, true),
    {
      id: "due_at", label: t("dueAt"), width: "8rem", value: (row) => (row.due_at ? Date.parse(row.due_at) : null), secondary: true,
      cell: (row) => (row.due_at ? <Day day={row.due_at.slice(0, 10)} /> : <span className="text-faint">–</span>),
    },
    {
      id: "paid_at", label: t("paidAt"), width: "8rem", value: (row) => (row.paid_at ? Date.parse(row.paid_at) : null), secondary: true,
      cell: (row) => (row.paid_at ? <Day day={row.paid_at.slice(0, 10)} /> : <span className="text-faint">–</span>),
    },
  ];
}

export default function InvoicesPage() {
  const { scope } = usePlace();
  const account = accountOf(scope);
  const can = useCan();
  return account && !can("invoice:read", account) ? <NotYours account={account} scope={scope} /> : <Invoices account={account} />;
}

/** Of an account, or of everybody. */
function Invoices({ account }: { account: string | null }) {
  const { scope } = usePlace();
  const can = useCan();
  const [closing, setClosing] = useState(false);
  const at = account ?? "-";
  const list = usePages<Invoice>(`/api/v1/scopes/${encodeURIComponent(at)}/invoices`, {}, live(at, "invoices"));
  const table = useTable(list, (invoice) => pageAddress(scope, "billing", `invoices/${invoice.number ?? invoice.id}`));
  const close = account && can("ledger:post", "-") && can("invoice:manage", account) && (
    <Button icon="receipt" onClick={() => setClosing(true)}>
      {t("closeNow")}
    </Button>
  );
  return (
    <Page fill title={t("invoices")} actions={close}>
      <DataTable
        label={t("invoices")}
        {...table}
        columns={columnsOf(account === null)}
        rowKey={(invoice) => invoice.id}
        empty={
          <Empty icon="receipt" title={t("noInvoices")} actions={close}>
            {t("noInvoicesHint")}
          </Empty>
        }
      />
      {closing && account && <CloseDialog account={account} onClose={() => setClosing(false)} />}
    </Page>
  );
}

function CloseDialog({ account, onClose }: { account: string; onClose: () => void }) {
  const [until, setUntil] = useState(addDays(today(), 1));
  const close = async () => {
    await unwrap(api.POST("/api/v1/scopes/{path}/closes", { params: { path: { path: account } }, body: { until } }));
    notify("ok", t("closeStarted"));
  };
  return (
    <FormDialog title={t("closeTitle", { account })} action={t("closeAction")} onClose={onClose} onSubmit={close}>
      <p className="text-sm text-muted">{t("closeHint")}</p>
      <Field label={t("closeUntil")} hint={t("utcDay")}>
        {(ids) => <Input {...ids} type="date" required max={addDays(today(), 1)} value={until} onChange={(event) => setUntil(event.target.value)} />}
      </Field>
    </FormDialog>
  );
}
