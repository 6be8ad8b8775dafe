/** How invoices address an account and tax it; at `-`, who issues them. */
import { api, live, tell, unwrap, useQuery, useQueryClient, useWriting } from "@ironworks/sdk";
import { Button, Callout, Facts, Field, IconButton, Input, Section, Skeleton, Switch, Textarea, notify } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { useManages } from "./invoice-actions.tsx";
import { fractionOf, percentOf } from "./percent.ts";
import type { Details } from "./types.ts";
import { t } from "./words.ts";

export function DetailsForm({ scope }: { scope: string }) {
  const manages = useManages(scope);
  const found = useQuery({
    queryKey: ["billing-details", scope],
    ...live(scope, "invoices"),
    queryFn: () => unwrap(api.GET("/api/v1/scopes/{path}/billing-details", { params: { path: { path: scope } } })),
  });
  const issuer = scope === "-";
  return (
    <Section title={t(issuer ? "issuerDetails" : "details")} hint={t(issuer ? "issuerHint" : "detailsHint")}>
      {found.error && <Callout tone="bad">{tell(found.error)}</Callout>}
      {found.isPending && <Skeleton className="h-40 w-full" />}
      {found.data && (manages ? <Form key={scope} scope={scope} details={found.data} /> : <ReadOnly details={found.data} />)}
    </Section>
  );
}

const taxWords = (details: Details) => (details.taxes ?? []).map((tax) => `${tax.name} ${percentOf(tax.rate)} %`).join(", ");

function ReadOnly({ details }: { details: Details }) {
  return (
    <div className="flex flex-col gap-3">
      <Facts
        items={[
          { label: t("name"), value: details.name || t("none") },
          { label: t("address"), value: <span className="whitespace-pre-line">{(details.address ?? []).join("\n") || t("none")}</span> },
          { label: t("email"), value: details.email || t("none") },
          { label: t("taxNumber"), value: details.tax_number || t("none") },
          { label: t("taxes"), value: taxWords(details) || t("none") },
          { label: t("dueDays"), value: details.due_days },
        ]}
      />
      <p className="text-xs text-faint">{t("detailsAsk")}</p>
    </div>
  );
}

interface Draft {
  name: string;
  address: string;
  email: string;
  tax_number: string;
  due_days: string;
  taxes: { name: string; percent: string }[];
  review: boolean;
  note: string;
}

const draftOf = (details: Details): Draft => ({
  name: details.name ?? "",
  address: (details.address ?? []).join("\n"),
  email: details.email ?? "",
  tax_number: details.tax_number ?? "",
  due_days: String(details.due_days ?? 14),
  taxes: (details.taxes ?? []).map((tax) => ({ name: tax.name, percent: percentOf(tax.rate) })),
  review: details.review ?? false,
  note: details.note ?? "",
});

function Form({ scope, details }: { scope: string; details: Details }) {
  const client = useQueryClient();
  const [draft, setDraft] = useState(() => draftOf(details));
  const { busy, failure, run } = useWriting();
  const set = (change: Partial<Draft>) => setDraft((before) => ({ ...before, ...change }));
  const rates = draft.taxes.map((tax) => fractionOf(tax.percent));
  const save = async () => {
    const body = {
      ...draft,
      address: draft.address.split("\n").map((line) => line.trim()).filter(Boolean),
      due_days: Number(draft.due_days),
      taxes: draft.taxes.map((tax, index) => ({ name: tax.name, rate: rates[index] ?? "0" })),
    };
    const saved = await unwrap(api.PUT("/api/v1/scopes/{path}/billing-details", { params: { path: { path: scope } }, body }));
    client.setQueryData(["billing-details", scope], saved);
    notify("ok", t("detailsSaved"));
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(save);
  };
  const text = (key: "name" | "email" | "tax_number", label: string, most: number) => (
    <Field label={label}>{(ids) => <Input {...ids} maxLength={most} value={draft[key]} onChange={(event) => set({ [key]: event.target.value })} />}</Field>
  );
  return (
    <form className="flex flex-col gap-3" onSubmit={submit}>
      {text("name", t("name"), 200)}
      <Field label={t("address")} hint={t("addressHint")}>
        {(ids) => <Textarea {...ids} rows={3} value={draft.address} onChange={(event) => set({ address: event.target.value })} />}
      </Field>
      <div className="grid gap-3 sm:grid-cols-2">
        {text("email", t("email"), 254)}
        {text("tax_number", t("taxNumber"), 60)}
      </div>
      {scope !== "-" && <Taxes taxes={draft.taxes} rates={rates} onChange={(taxes) => set({ taxes })} />}
      {scope !== "-" && (
        <div className="grid items-end gap-3 sm:grid-cols-2">
          <Field label={t("dueDays")}>
            {(ids) => <Input {...ids} type="number" min={0} max={365} required value={draft.due_days} onChange={(event) => set({ due_days: event.target.value })} />}
          </Field>
          <Switch checked={draft.review} onChange={(review) => set({ review })} label={t("review")} hint={t("reviewHint")} />
        </div>
      )}
      <Field label={t("note")} hint={t("noteHint")}>
        {(ids) => <Textarea {...ids} rows={2} maxLength={2000} value={draft.note} onChange={(event) => set({ note: event.target.value })} />}
      </Field>
      {failure !== null && <Callout tone="bad">{tell(failure)}</Callout>}
      <div>
        <Button type="submit" look="primary" busy={busy} disabled={rates.some((rate) => rate === null)}>
          {t("save")}
        </Button>
      </div>
    </form>
  );
}

interface TaxesProps {
  taxes: Draft["taxes"];
  rates: (string | null)[];
  onChange: (taxes: Draft["taxes"]) => void;
}

function Taxes({ taxes, rates, onChange }: TaxesProps) {
  const put = (index: number, change: Partial<Draft["taxes"][number]>) => onChange(taxes.map((tax, at) => (at === index ? { ...tax, ...change } : tax)));
  return (
    <div className="flex flex-col gap-2">
      <span className="text-xs font-medium text-muted">{t("taxes")}</span>
      {taxes.map((tax, index) => (
        <div key={index} className="grid grid-cols-[minmax(0,1fr)_6rem_2rem] items-center gap-2">
          <Input aria-label={t("taxName")} required maxLength={80} value={tax.name} onChange={(event) => put(index, { name: event.target.value })} />
          <Input
            aria-label={t("taxRate")}
            inputMode="decimal"
            required
            aria-invalid={rates[index] === null}
            value={tax.percent}
            onChange={(event) => put(index, { percent: event.target.value })}
          />
          <IconButton icon="close" label={t("remove")} onClick={() => onChange(taxes.filter((_, at) => at !== index))} />
        </div>
      ))}
      {taxes.length < 4 && (
        <div>
          <Button small icon="plus" onClick={() => onChange([...taxes, { name: "VAT", percent: "20" }])}>
            {t("addTax")}
          </Button>
        </div>
      )}
    </div>
  );
}
