/** Paying an invoice: by what the account left at the payment provider's, or by money that came in by itself. */
import { api, tell, unwrap, useCan, useWriting } from "@ironworks/sdk";
import { Button, Callout, Dialog, Field, Input, Select, notify } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { openCheckout } from "./checkout.ts";
import { nanoOf, readAmount, showAmount, toDecimal } from "./money.ts";
import { AmountInput, nameOf } from "./parts.tsx";
import type { InvoiceDetail, Method } from "./types.ts";
import { t } from "./words.ts";

interface PayProps {
  detail: InvoiceDetail;
  methods: readonly Method[];
  provider: string | null;
  onClose: () => void;
}

export function PayDialog({ detail, methods, provider, onClose }: PayProps) {
  const { invoice, issuer } = detail;
  const can = useCan();
  const charged = methods.find((method) => method.default);
  const { busy, failure, run } = useWriting();
  const name = nameOf(invoice);
  const amount = showAmount(invoice.due);
  const charge = () =>
    run(async () => {
      await unwrap(api.POST("/api/v1/payments", { body: { invoice: invoice.id } }));
      notify("ok", t("payStarted"));
      onClose();
    });
  return (
    <Dialog open onClose={onClose} title={t("payTitle", { number: name })}>
      <div className="flex flex-col gap-4">
        {provider && charged && can("payment:create", invoice.account) && (
          <>
            <p className="text-sm text-muted">{t("payHint", { amount, method: charged.label })}</p>
            <Button look="primary" icon="card" busy={busy} onClick={() => void charge()}>
              {t("payNow", { method: charged.label })}
            </Button>
          </>
        )}
        {provider && !charged && can("payment-method:create", invoice.account) && (
          <>
            <p className="text-sm text-muted">{t("payNeedsMethod")}</p>
            <Button look="primary" icon="external" busy={busy} onClick={() => void run(() => openCheckout(invoice.account, invoice.total.currency))}>
              {t("payLeave")}
            </Button>
          </>
        )}
        {!provider && (
          <div className="text-sm">
            <p>{t("payManual", { amount, number: name })}</p>
            {issuer.note && <p className="mt-2 rounded-md border border-line bg-canvas p-3 whitespace-pre-line">{issuer.note}</p>}
          </div>
        )}
        {failure !== null && <Callout tone="bad">{tell(failure)}</Callout>}
        {can("receipt:create", "-") && <Receipt detail={detail} look={provider ? "normal" : "primary"} onClose={onClose} />}
      </div>
    </Dialog>
  );
}

const WAYS = ["bank_transfer", "check", "cash", "other"] as const;

/** Money that came in without a provider, recorded by the operator's people. */
function Receipt({ detail, look, onClose }: Pick<PayProps, "detail" | "onClose"> & { look: "normal" | "primary" }) {
  const { invoice } = detail;
  const [amount, setAmount] = useState(toDecimal(nanoOf(invoice.due)));
  const [method, setMethod] = useState<(typeof WAYS)[number]>("bank_transfer");
  const [reference, setReference] = useState("");
  const { busy, failure, run } = useWriting();
  const nano = readAmount(amount);
  const record = async () => {
    if (nano === null) return;
    await unwrap(api.POST("/api/v1/payments:record", { body: { invoice: invoice.id, amount_nano: Number(nano), method, reference } }));
    notify("ok", t("recorded"));
    onClose();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(record);
  };
  return (
    <form className="flex flex-col gap-3 border-t border-line pt-4" onSubmit={submit}>
      <div>
        <h3 className="text-sm font-semibold">{t("record")}</h3>
        <p className="text-xs text-faint">{t("recordHint")}</p>
      </div>
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label={`${t("amount")} (${invoice.total.currency})`} problem={nano === null ? t("amountProblem") : undefined}>
          {(ids) => <AmountInput {...ids} required value={amount} onChange={(event) => setAmount(event.target.value)} />}
        </Field>
        <Field label={t("receivedBy")}>
          {(ids) => (
            <Select {...ids} className="w-full" value={method} onChange={(event) => setMethod(event.target.value as (typeof WAYS)[number])}>
              {WAYS.map((way) => (
                <option key={way} value={way}>
                  {t(way)}
                </option>
              ))}
            </Select>
          )}
        </Field>
      </div>
      <Field label={t("reference")} hint={t("referenceHint")}>
        {(ids) => <Input {...ids} required maxLength={200} value={reference} onChange={(event) => setReference(event.target.value)} />}
      </Field>
      {failure !== null && <Callout tone="bad">{tell(failure)}</Callout>}
      <Button type="submit" look={look} busy={busy} disabled={nano === null}>
        {t("recordAction", { amount: `${amount} ${invoice.total.currency}` })}
      </Button>
    </form>
  );
}
