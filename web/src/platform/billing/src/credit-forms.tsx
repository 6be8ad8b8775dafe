/** Giving credit, and setting how an account pays beforehand: for the operator's people. */
import { api, unwrap } from "@ironworks/sdk";
import { Field, Input, Lasting, Select, Textarea, endOf, notify } from "@ironworks/ui";
import { useState } from "react";

import { FormDialog } from "./form-dialog.tsx";
import { nanoOf, readAmount, showAmount, toDecimal } from "./money.ts";
import { AmountInput } from "./parts.tsx";
import type { CreditBalance } from "./types.ts";
import { t } from "./words.ts";

interface ForAccount {
  account: string;
  currency: string;
  onClose: () => void;
}

const LIVES = [30, 90, 180, 365];

export function GrantDialog({ account, currency, onClose }: ForAccount) {
  const [amount, setAmount] = useState("");
  const [source, setSource] = useState<"paid" | "promotion">("paid");
  const [reference, setReference] = useState("");
  const [days, setDays] = useState("");
  const [priority, setPriority] = useState("50");
  const [note, setNote] = useState("");
  const nano = readAmount(amount);
  const submit = async () => {
    const body = { amount: toDecimal(nano ?? 0n), currency, source, reference, expires_at: endOf(days), priority: Number(priority), note };
    const made = await unwrap(api.POST("/api/v1/scopes/{path}/credits", { params: { path: { path: account } }, body }));
    notify("ok", t("gave", { amount: showAmount(made.granted) }));
  };
  return (
    <FormDialog title={t("giveTitle", { account })} action={t("giveCredit")} blocked={nano === null} onClose={onClose} onSubmit={submit}>
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label={`${t("amount")} (${currency})`} problem={amount && nano === null ? t("amountProblem") : undefined}>
          {(ids) => <AmountInput {...ids} required value={amount} onChange={(event) => setAmount(event.target.value)} />}
        </Field>
        <Field label={t("giveSource")}>
          {(ids) => (
            <Select {...ids} className="w-full" value={source} onChange={(event) => setSource(event.target.value === "paid" ? "paid" : "promotion")}>
              <option value="paid">{t("giveSourcePaid")}</option>
              <option value="promotion">{t("giveSourcePromotion")}</option>
            </Select>
          )}
        </Field>
      </div>
      <Field label={t("reference")} hint={t("giveReferenceHint")}>
        {(ids) => <Input {...ids} required maxLength={200} value={reference} onChange={(event) => setReference(event.target.value)} />}
      </Field>
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label={t("giveExpiry")}>{(ids) => <Lasting {...ids} value={days} onChange={setDays} lives={LIVES} />}</Field>
        <Field label={t("priority")} hint={t("priorityHint")}>
          {(ids) => <Input {...ids} type="number" min={0} max={100} required value={priority} onChange={(event) => setPriority(event.target.value)} />}
        </Field>
      </div>
      <Field label={t("note")}>{(ids) => <Textarea {...ids} rows={2} maxLength={500} value={note} onChange={(event) => setNote(event.target.value)} />}</Field>
    </FormDialog>
  );
}

export function PrepaidDialog({ account, currency, prepaid, onClose }: ForAccount & { prepaid: CreditBalance["prepaid"] }) {
  const [low, setLow] = useState(prepaid ? toDecimal(nanoOf(prepaid.low)) : "20.00");
  const [grace, setGrace] = useState(String(prepaid?.grace_hours ?? 24));
  const nano = readAmount(low);
  const none = /^0*(\.0*)?$/.test(low.trim());
  const submit = async () => {
    const body = { low: toDecimal(nano ?? 0n), grace_hours: Number(grace) };
    await unwrap(api.PUT("/api/v1/scopes/{path}/prepaid/{currency}", { params: { path: { path: account, currency } }, body }));
    notify("ok", t("prepaidSaved"));
  };
  return (
    <FormDialog title={t("prepaid")} action={t("save")} blocked={nano === null && !none} onClose={onClose} onSubmit={submit}>
      <p className="text-sm text-muted">{t("prepaidHint")}</p>
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label={`${t("prepaidLow")} (${currency})`} problem={nano === null && !none ? t("amountProblem") : undefined}>
          {(ids) => <AmountInput {...ids} required value={low} onChange={(event) => setLow(event.target.value)} />}
        </Field>
        <Field label={t("prepaidGrace")} hint={t("prepaidGraceHint")}>
          {(ids) => <Input {...ids} type="number" min={0} max={744} required value={grace} onChange={(event) => setGrace(event.target.value)} />}
        </Field>
      </div>
    </FormDialog>
  );
}
