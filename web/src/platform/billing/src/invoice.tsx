/** One invoice: what it is for, line by line, what was paid, what can be done with it. */
import { api, live, tell, unwrap, useCan, usePages, usePlace, useQuery, useQueryWord } from "@ironworks/sdk";
import { Button, Callout, Empty, Facts, IconButton, Loading, Menu, Page, Section, Tabs, Time, formatMoney } from "@ironworks/ui";

import { useMethods } from "./account.tsx";
import { useCheckoutReturn } from "./checkout.ts";
import { showPeriod } from "./days.ts";
import { saveFile } from "./download.ts";
import { InvoiceActions } from "./invoice-actions.tsx";
import { InvoiceHistory } from "./invoice-history.tsx";
import { InvoiceLines } from "./invoice-lines.tsx";
import { InvoicePaper } from "./invoice-paper.tsx";
import { nanoOf, toDecimal } from "./money.ts";
import { Day, InvoiceState, Money, Row, nameOf } from "./parts.tsx";
import type { Details, InvoiceDetail, Payment } from "./types.ts";
import { t } from "./words.ts";

export default function InvoicePage() {
  const { params, scope } = usePlace();
  const name = params["invoice"] ?? "";
  const found = useQuery({
    queryKey: ["billing", "invoice", name],
    ...live(scope, "invoices", "payments"),
    queryFn: () => unwrap(api.GET("/api/v1/invoices/{invoice}", { params: { path: { invoice: name } } })),
  });
  if (found.error) {
    return (
      <Empty icon="receipt" title={t("invoiceGone", { invoice: name })}>
        {tell(found.error)}
      </Empty>
    );
  }
  if (!found.data) return <Loading />;
  return <Shown detail={found.data} />;
}

function Shown({ detail }: { detail: InvoiceDetail }) {
  const { invoice } = detail;
  const [tab, setTab] = useQueryWord("tab", "lines");
  const methods = useMethods(invoice.account);
  useCheckoutReturn(invoice.account);
  const can = useCan();
  const payments = usePages<Payment>("/api/v1/payments", { invoice: invoice.id }, { enabled: can("payment:read", invoice.account), ...live(invoice.account, "payments") });
  const name = nameOf(invoice);
  const document = `/api/v1/invoices/${encodeURIComponent(invoice.id)}/document`;
  const save = (format: string) => void saveFile(`${document}?format=${format}`, `${invoice.number ?? invoice.id}.${format}`);
  return (
    <Page
      title={invoice.number ? t("invoiceOf", { number: invoice.number }) : name}
      meta={<InvoiceState invoice={invoice} />}
      actions={
        <>
          <Button icon="download" onClick={() => save("pdf")}>
            PDF
          </Button>
          <Menu
            label={t("download")}
            trigger={<IconButton icon="file" label={t("download")} />}
            groups={[["pdf", "csv", "json", "html"].map((format) => ({ label: format.toUpperCase(), icon: "download" as const, onSelect: () => save(format) }))]}
          />
          <InvoiceActions detail={detail} methods={methods.data?.items ?? []} provider={methods.data?.provider ?? null} />
        </>
      }
    >
      {invoice.reason && (
        <Callout tone="warn" title={t("reasonGiven")}>
          {invoice.reason}
        </Callout>
      )}
      <Dunning payments={payments.items} />
      <Tabs
        label={name}
        value={tab}
        onChange={setTab}
        tabs={[
          {
            id: "lines", label: t("lines"),
            content: (
              <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,26rem)]">
                <InvoiceLines invoice={invoice} />
                <Beside detail={detail} />
              </div>
            ),
          },
          { id: "document", label: t("document"), content: <InvoicePaper path={`${document}?format=html`} name={name} /> },
          { id: "history", label: t("history"), content: <InvoiceHistory detail={detail} payments={payments.items} /> },
        ]}
      />
    </Page>
  );
}

/** How far money is on its way, and what happens next where it did not come. */
function Dunning({ payments }: { payments: readonly Payment[] }) {
  const last = payments[0];
  if (!last || last.state === "canceled" || (last.state === "succeeded" && last.recorded_at)) return null;
  const refused = last.state === "failed" || last.state === "exhausted";
  const told = [t(last.state), last.attempt > 1 && t("attempt", { count: last.attempt })].filter(Boolean).join(", ");
  return (
    <Callout tone={refused ? "bad" : "info"} title={told}>
      {last.failure_message && <p>{last.failure_message}</p>}
      {last.state === "failed" && last.next_attempt_at && (
        <p>
          {t("nextAttempt", { when: "" })} <Time at={last.next_attempt_at} exact />
        </p>
      )}
      {last.state === "exhausted" && <p>{t("exhaustedHint")}</p>}
      {last.state === "succeeded" && <p>{t("arriving")}</p>}
      {!refused && last.state !== "succeeded" && <p>{t("underWay")}</p>}
    </Callout>
  );
}

/** Sums, dates and addresses. */
function Beside({ detail }: { detail: InvoiceDetail }) {
  const { invoice, issuer, payer } = detail;
  const { currency } = invoice.total;
  const net = nanoOf(invoice.total) - nanoOf(invoice.tax) - nanoOf(invoice.rounding);
  const less = (label: string, amount: InvoiceDetail["invoice"]["total"]) =>
    nanoOf(amount) !== 0n && <Row label={label} value={<span className="nums">{formatMoney(-nanoOf(amount), currency)}</span>} />;
  return (
    <div className="flex min-w-0 flex-col gap-4">
      {invoice.state !== "draft" && (
        <Section>
          <div className="-my-2">
            <Row label={t("net")} value={<Money exact amount={{ amount: toDecimal(net), currency }} />} />
            {nanoOf(invoice.rounding) !== 0n && <Row label={t("rounding")} value={<Money exact amount={invoice.rounding} />} />}
            {nanoOf(invoice.tax) !== 0n && <Row label={t("tax")} value={<Money amount={invoice.tax} />} />}
            <Row label={t("total")} value={<Money amount={invoice.total} strong />} />
            {less(t("byCredit"), invoice.credit)}
            {less(t("notes"), invoice.noted)}
            {less(t("payments"), invoice.paid)}
            <Row label={<span className="font-semibold">{t("stillOpen")}</span>} value={<span data-due><Money amount={invoice.due} strong /></span>} />
          </div>
        </Section>
      )}
      <Section>
        <Facts
          items={[
            { label: t("account"), value: invoice.account },
            { label: t("period"), value: showPeriod(invoice.period_start, invoice.period_end) },
            ...(invoice.finalized_at ? [{ label: t("finalizedAt"), value: <Day day={invoice.finalized_at.slice(0, 10)} /> }] : []),
            ...(invoice.due_at ? [{ label: t("dueAt"), value: <Day day={invoice.due_at.slice(0, 10)} /> }] : []),
            ...(invoice.paid_at ? [{ label: t("paidAt"), value: <Day day={invoice.paid_at.slice(0, 10)} /> }] : []),
            { label: t("addressed"), value: <Party details={payer} otherwise={invoice.account} /> },
            { label: t("issuedBy"), value: <Party details={issuer} otherwise="Ironworks" /> },
          ]}
        />
      </Section>
    </div>
  );
}

const Party = ({ details, otherwise }: { details: Details; otherwise: string }) => (
  <span className="whitespace-pre-line">
    {[details.name || otherwise, ...(details.address ?? []), details.email, details.tax_number].filter(Boolean).join("\n")}
  </span>
);
