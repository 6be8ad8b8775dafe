/** What came in for an invoice, what went back, and what was taken off. */
import { api, tell, unwrap, useCan } from "@ironworks/sdk";
import { Badge, Button, Confirm, Empty, Field, Section, Textarea, Time, formatMoney, notify, words } from "@ironworks/ui";
import type { Tone } from "@ironworks/ui";
import { useState } from "react";

import { saveFile } from "./download.ts";
import { nanoOf, readAmount, showAmount, toDecimal } from "./money.ts";
import { AmountInput, Money, nameOf } from "./parts.tsx";
import type { InvoiceDetail, Payment } from "./types.ts";
import { t } from "./words.ts";

const TONES: Record<Payment["state"], Tone> = {
  planned: "info", sending: "info", processing: "info", failed: "bad", exhausted: "bad", succeeded: "ok", canceled: "idle",
};
const LABELS = {
  planned: "planned", sending: "sending", processing: "processing", failed: "failed", exhausted: "exhausted", succeeded: "succeeded", canceled: "canceledPayment",
} as const;

interface HistoryProps {
  detail: InvoiceDetail;
  payments: readonly Payment[];
}

export function InvoiceHistory({ detail, payments }: HistoryProps) {
  const { invoice } = detail;
  if (payments.length === 0 && detail.payments.length === 0 && detail.credit_notes.length === 0) {
    return (
      <div className="panel">
        <Empty icon="card" title={t("nothingPaid")}>
          {t("nothingPaidHint")}
        </Empty>
      </div>
    );
  }
  const document = (number: string) => `/api/v1/invoices/${encodeURIComponent(invoice.id)}/credit-notes/${encodeURIComponent(number)}/document?format=pdf`;
  return (
    <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-2">
      <Section title={t("payments")} flush>
        <ul className="divide-y divide-line">
          {payments.map((payment) => (
            <PaymentRow key={payment.id} payment={payment} name={nameOf(invoice)} />
          ))}
          {detail.payments
            .filter((one) => payments.length === 0 || nanoOf(one.amount) < 0n)
            .map((one) => (
              <li key={one.id} className="flex flex-wrap items-center gap-3 px-4 py-2">
                <span className="min-w-0 flex-1">
                  <span className="block">{nanoOf(one.amount) < 0n ? t("isRefund") : words(one.method)}</span>
                  <span className="clip-line block text-xs text-faint">{one.reference}</span>
                </span>
                <Time at={one.recorded_at} />
                <Money amount={one.amount} />
              </li>
            ))}
        </ul>
      </Section>
      {detail.credit_notes.length > 0 && (
        <Section title={t("notes")} flush>
          <ul className="divide-y divide-line">
            {detail.credit_notes.map((note) => (
              <li key={note.id} className="flex flex-wrap items-center gap-3 px-4 py-2">
                <span className="min-w-0 flex-1">
                  <span className="block font-medium">{note.number}</span>
                  <span className="block text-xs break-words text-faint">
                    {note.reason}
                    {nanoOf(note.to_credit) > 0n && ` · ${t("ofWhichCredit", { amount: showAmount(note.to_credit) })}`}
                  </span>
                </span>
                <Button small icon="download" onClick={() => void saveFile(document(note.number), `${note.number}.pdf`)}>
                  PDF
                </Button>
                <Money amount={note.amount} />
              </li>
            ))}
          </ul>
        </Section>
      )}
    </div>
  );
}

function PaymentRow({ payment, name }: { payment: Payment; name: string }) {
  const can = useCan();
  const [refunding, setRefunding] = useState(false);
  const [busy, setBusy] = useState(false);
  const retry = async () => {
    setBusy(true);
    try {
      await unwrap(api.POST("/api/v1/payments/{payment}:retry", { params: { path: { payment: payment.id } } }));
      notify("ok", t("retried"));
    } catch (error) {
      notify("bad", tell(error));
    } finally {
      setBusy(false);
    }
  };
  const refused = payment.state === "failed" || payment.state === "exhausted";
  return (
    <li className="flex flex-wrap items-center gap-3 px-4 py-2">
      <span className="min-w-0 flex-1">
        <span className="flex flex-wrap items-center gap-2">
          {payment.provider === "manual" ? words(payment.method) : words(payment.provider)}
          <Badge tone={TONES[payment.state]}>{t(LABELS[payment.state])}</Badge>
        </span>
        <span className="block text-xs break-words text-faint">{payment.failure_message ?? payment.reference ?? payment.method}</span>
      </span>
      <Time at={payment.finished_at ?? payment.created_at} />
      {refused && can("payment:create", payment.account) && (
        <Button small icon="refresh" busy={busy} onClick={() => void retry()}>
          {t("retry")}
        </Button>
      )}
      {payment.state === "succeeded" && can("refund:create", "-") && (
        <Button small icon="undo" onClick={() => setRefunding(true)}>
          {t("refund")}
        </Button>
      )}
      <span className="nums">{formatMoney(BigInt(payment.amount_nano), payment.currency)}</span>
      {refunding && <Refund payment={payment} name={name} onClose={() => setRefunding(false)} />}
    </li>
  );
}

function Refund({ payment, name, onClose }: { payment: Payment; name: string; onClose: () => void }) {
  const whole = BigInt(payment.amount_nano);
  const [amount, setAmount] = useState(toDecimal(whole));
  const [reason, setReason] = useState("");
  const nano = readAmount(amount);
  const confirm = async () => {
    const body = { amount_nano: Number(nano ?? 0n), reason };
    await unwrap(api.POST("/api/v1/payments/{payment}:refund", { params: { path: { payment: payment.id } }, body }));
    notify("ok", t("refundStarted"));
  };
  return (
    <Confirm open onClose={onClose} title={t("refundTitle", { number: name })} action={t("refund")} word={name} blocked={nano === null} onConfirm={confirm}>
      <p className="text-sm text-muted">{t("refundHint", { amount: formatMoney(whole, payment.currency) })}</p>
      <Field label={`${t("amount")} (${payment.currency})`} problem={nano === null ? t("amountProblem") : undefined}>
        {(ids) => <AmountInput {...ids} value={amount} onChange={(event) => setAmount(event.target.value)} />}
      </Field>
      <Field label={t("reason")}>{(ids) => <Textarea {...ids} rows={2} maxLength={500} value={reason} onChange={(event) => setReason(event.target.value)} />}</Field>
    </Confirm>
  );
}
