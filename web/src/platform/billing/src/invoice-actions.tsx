/** What can be done with an invoice by who may; what cannot be undone is typed first. */
import { api, unwrap, useCan } from "@ironworks/sdk";
import { Button, Confirm, Field, IconButton, Input, Menu, Switch, Textarea, notify } from "@ironworks/ui";
import type { MenuItem } from "@ironworks/ui";
import { useState } from "react";

import { nanoOf, readAmount, toDecimal } from "./money.ts";
import { AmountInput, nameOf } from "./parts.tsx";
import { PayDialog } from "./pay.tsx";
import type { InvoiceDetail, Method } from "./types.ts";
import { t } from "./words.ts";

interface ActionsProps {
  detail: InvoiceDetail;
  methods: readonly Method[];
  provider: string | null;
}

type Asked = "pay" | "finalize" | "void" | "write-off" | "credit-note" | null;

/** Whether a person may change this account's invoices: the operator's people alone. */
export function useManages(account: string): boolean {
  const can = useCan();
  return can("invoice:manage", account) && can("ledger:post", "-");
}

export function InvoiceActions({ detail, methods, provider }: ActionsProps) {
  const { invoice } = detail;
  const [asked, setAsked] = useState<Asked>(null);
  const can = useCan();
  const manages = useManages(invoice.account);
  const open = nanoOf(invoice.due) > 0n && (invoice.state === "finalized" || invoice.state === "uncollectible");
  const untouched = nanoOf(invoice.paid) === 0n && nanoOf(invoice.noted) === 0n;
  const items: MenuItem[] = manages
    ? [
        ...(invoice.state === "finalized" || invoice.state === "paid"
          ? [{ label: t("creditNote"), icon: "undo" as const, onSelect: () => setAsked("credit-note") }]
          : []),
        ...(invoice.state === "finalized" ? [{ label: t("writeOff"), icon: "close" as const, danger: true, onSelect: () => setAsked("write-off") }] : []),
        ...((invoice.state === "finalized" && untouched) || invoice.state === "draft"
          ? [{ label: t("voidAction"), icon: "delete" as const, danger: true, onSelect: () => setAsked("void") }]
          : []),
      ]
    : [];
  const close = () => setAsked(null);
  const name = nameOf(invoice);
  return (
    <>
      {manages && invoice.state === "draft" && (
        <Button look="primary" onClick={() => setAsked("finalize")}>
          {t("finalize")}
        </Button>
      )}
      {open && (can("payment:create", invoice.account) || can("receipt:create", "-")) && (
        <Button look="primary" icon="card" onClick={() => setAsked("pay")}>
          {t("pay")}
        </Button>
      )}
      {items.length > 0 && <Menu label={t("all")} trigger={<IconButton icon="more" label={t("all")} />} groups={[items]} />}
      {asked === "pay" && <PayDialog detail={detail} methods={methods} provider={provider} onClose={close} />}
      <Confirm
        open={asked === "finalize"}
        onClose={close}
        title={t("finalizeTitle")}
        action={t("finalize")}
        onConfirm={async () => {
          await unwrap(api.POST("/api/v1/invoices/{invoice}:finalize", { params: { path: { invoice: invoice.id } } }));
          notify("ok", t("finalized"));
        }}
      >
        <p className="text-sm text-muted">{t("finalizeHint")}</p>
      </Confirm>
      {(asked === "void" || asked === "write-off") && <Giving kind={asked} id={invoice.id} name={name} onClose={close} />}
      {asked === "credit-note" && <CreditNote detail={detail} onClose={close} />}
    </>
  );
}

/** Void and write off: a reason, and the invoice's name typed. */
function Giving({ kind, id, name, onClose }: { kind: "void" | "write-off"; id: string; name: string; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const voids = kind === "void";
  const confirm = async () => {
    const given = { params: { path: { invoice: id } }, body: { reason } };
    await unwrap(voids ? api.POST("/api/v1/invoices/{invoice}:void", given) : api.POST("/api/v1/invoices/{invoice}:write-off", given));
    notify("ok", t(voids ? "voided" : "wroteOff", { number: name }));
  };
  return (
    <Confirm
      open
      onClose={onClose}
      title={t(voids ? "voidTitle" : "writeOffTitle", { number: name })}
      action={t(voids ? "voidAction" : "writeOff")}
      word={name}
      blocked={!reason.trim()}
      onConfirm={confirm}
    >
      <p className="text-sm text-muted">{t(voids ? "voidHint" : "writeOffHint")}</p>
      <Field label={t("reason")}>{(ids) => <Textarea {...ids} rows={2} maxLength={500} value={reason} onChange={(event) => setReason(event.target.value)} />}</Field>
    </Confirm>
  );
}

function CreditNote({ detail, onClose }: { detail: InvoiceDetail; onClose: () => void }) {
  const { invoice } = detail;
  const name = nameOf(invoice);
  const left = nanoOf(invoice.total) - nanoOf(invoice.noted);
  const [amount, setAmount] = useState(toDecimal(left));
  const [reason, setReason] = useState("");
  const [reference, setReference] = useState("");
  const [refund, setRefund] = useState(false);
  const nano = readAmount(amount);
  const issue = async () => {
    const body = { amount_nano: Number(nano ?? 0n), reason, reference, refund };
    await unwrap(api.POST("/api/v1/invoices/{invoice}/credit-notes", { params: { path: { invoice: invoice.id } }, body }));
    notify("ok", t("creditNoteDone"));
  };
  return (
    <Confirm
      open
      onClose={onClose}
      title={t("creditNoteTitle", { number: name })}
      action={t("creditNoteAction")}
      word={name}
      blocked={nano === null || !reason.trim() || !reference.trim()}
      onConfirm={issue}
    >
      <p className="text-sm text-muted">{t("creditNoteHint")}</p>
      <Field label={`${t("amount")} (${invoice.total.currency})`} problem={nano === null ? t("amountProblem") : undefined}>
        {(ids) => <AmountInput {...ids} required value={amount} onChange={(event) => setAmount(event.target.value)} />}
      </Field>
      <Field label={t("reason")}>{(ids) => <Textarea {...ids} required rows={2} maxLength={500} value={reason} onChange={(event) => setReason(event.target.value)} />}</Field>
      <Field label={t("reference")} hint={t("giveReferenceHint")}>
        {(ids) => <Input {...ids} required maxLength={200} value={reference} onChange={(event) => setReference(event.target.value)} />}
      </Field>
      {nanoOf(invoice.paid) > 0n && <Switch checked={refund} onChange={setRefund} label={t("creditNoteRefund")} hint={t("creditNoteRefundHint")} />}
    </Confirm>
  );
}
