/** The price book as it counts here, every version of it, and who has terms of their own. */
import { api, live, unwrap, useCan, usePages, usePlace, useQueryWord, useTable } from "@ironworks/sdk";
import { Badge, Button, Choice, DataTable, Empty, Field, Input, Page, Tabs, Time, formatMoney, formatNumber, notify, parseMoney, words } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useMemo, useState } from "react";

import { FormDialog } from "./form-dialog.tsx";
import { costOf, showPrice } from "./money.ts";
import type { Price, Terms } from "./types.ts";
import { t } from "./words.ts";

const modelWords = (model: string): string => (model === "*" ? t("everyModel") : model);
const placeWords = (scope: string): string => (scope === "-" ? t("everywhere") : scope);

function priceWords({ unit_price, currency }: Price): string {
  const { amount, million } = showPrice(unit_price, currency);
  return million ? t("million", { price: amount }) : amount;
}

/** Where a version stands now. */
export function standOf({ valid_from, valid_to, withdrawn }: Pick<Price, "valid_from" | "valid_to" | "withdrawn">, now = Date.now()): "inForce" | "later" | "over" | "withdrawn" {
  if (valid_to !== null && Date.parse(valid_to) <= now) return "over";
  if (Date.parse(valid_from) > now) return "later";
  return withdrawn ? "withdrawn" : "inForce";
}

const TONES = { inForce: "ok", later: "info", over: "idle", withdrawn: "warn" } as const;

const COLUMNS: Column<Price>[] = [
  { id: "meter", label: t("meter"), width: "minmax(9rem, 1.4fr)", value: (row) => words(row.meter) },
  { id: "model", label: t("model"), width: "minmax(8rem, 1.2fr)", secondary: true, value: (row) => modelWords(row.model) },
  { id: "scope", label: t("scope"), secondary: true, value: (row) => placeWords(row.scope) },
  {
    id: "price", label: t("price"), align: "right", width: "minmax(9rem, 1fr)", value: (row) => Number(row.unit_price),
    cell: (row) => (row.withdrawn ? <span className="text-faint">–</span> : priceWords(row)),
  },
  {
    id: "unit", label: t("perUnit"), align: "right", width: "minmax(9rem, 1fr)", secondary: true, value: (row) => Number(row.unit_price),
    cell: (row) => <span className="text-xs text-muted">{row.withdrawn ? "–" : `${row.unit_price} ${row.currency}`}</span>,
  },
  {
    id: "state", label: t("state"), width: "7rem", secondary: true, value: (row) => t(standOf(row)), options: [t("inForce"), t("later"), t("over"), t("withdrawn")],
    cell: (row) => <Badge tone={TONES[standOf(row)]}>{t(standOf(row))}</Badge>,
  },
  { id: "from", label: t("validFrom"), width: "8rem", secondary: true, value: (row) => Date.parse(row.valid_from), cell: (row) => <Time at={row.valid_from} /> },
  {
    id: "to", label: t("validTo"), width: "8rem", secondary: true, value: (row) => (row.valid_to ? Date.parse(row.valid_to) : null),
    cell: (row) => (row.valid_to ? <Time at={row.valid_to} /> : <span className="text-faint">{t("never")}</span>),
  },
];

export default function Prices() {
  const { scope } = usePlace();
  const can = useCan();
  const [tab, setTab] = useQueryWord("tab", "prices");
  const [setting, setSetting] = useState(false);
  const add = can("price:create", "-") && (
    <Button look="primary" icon="plus" onClick={() => setSetting(true)}>
      {t("setPrice")}
    </Button>
  );
  return (
    <Page fill title={t("prices")} actions={add}>
      <Tabs
        label={t("prices")}
        value={tab}
        onChange={setTab}
        tabs={[
          { id: "prices", label: t("prices"), content: <Book /> },
          { id: "terms", label: t("terms"), content: <TermsList /> },
        ]}
      />
      {setting && <PriceDialog scope={scope} onClose={() => setSetting(false)} />}
    </Page>
  );
}

function Book() {
  const { scope } = usePlace();
  const [which, setWhich] = useQueryWord("which", "here");
  const [opened] = useState(() => new Date().toISOString());
  const list = usePages<Price>("/api/v1/prices", which === "here" ? { scope, at: opened } : { scope }, { limit: 200, ...live(scope, "prices") });
  const table = useTable(list);
  return (
    <div className="flex h-full min-h-0 flex-col gap-3">
      <div>
        <Choice
          label={t("pricesWhich")}
          value={which}
          onChange={setWhich}
          options={[{ value: "here", label: t("pricesHere") }, { value: "all", label: t("pricesAll") }]}
        />
      </div>
      <DataTable
        label={t("prices")}
        {...table}
        columns={COLUMNS}
        rowKey={(row) => row.id}
        empty={
          <Empty icon="money" title={t("noPrices")}>
            {t("noPricesHint")}
          </Empty>
        }
      />
    </div>
  );
}

/** What terms change, part by part, in the order in which they apply. */
export function termsWords({ terms, currency }: Terms): string[] {
  const money = (amount: string | number) => formatMoney(parseMoney(String(amount)), currency);
  return [
    terms.included ? t("termIncluded", { count: formatNumber(terms.included) }) : "",
    terms.tiers?.length ? t("termTiers", { count: terms.tiers.length, mode: terms.mode ?? "graduated" }) : "",
    terms.package ? t("termPackage", { size: formatNumber(terms.package.size), price: money(terms.package.price) }) : "",
    Number(terms.discount ?? 0) > 0 ? t("termDiscount", { percent: String(terms.discount) }) : "",
    Number(terms.minimum ?? 0) > 0 ? t("termMinimum", { amount: money(terms.minimum ?? "0") }) : "",
  ].filter(Boolean);
}

function TermsList() {
  const { scope } = usePlace();
  const list = usePages<Terms>("/api/v1/price-terms", scope === "-" ? {} : { scope }, { limit: 200, ...live(scope, "prices") });
  const columns = useMemo<Column<Terms>[]>(
    () => [
      { id: "scope", label: t("scope"), value: (row) => placeWords(row.scope) },
      { id: "meter", label: t("meter"), value: (row) => words(row.meter) },
      { id: "model", label: t("model"), secondary: true, value: (row) => modelWords(row.model) },
      { id: "terms", label: t("terms"), width: "minmax(14rem, 2fr)", value: (row) => (row.withdrawn ? t("withdrawn") : termsWords(row).join(", ")) },
      { id: "from", label: t("validFrom"), width: "8rem", value: (row) => Date.parse(row.valid_from), cell: (row) => <Time at={row.valid_from} /> },
    ],
    [],
  );
  const table = useTable(list);
  return (
    <DataTable
      label={t("terms")}
      {...table}
      columns={columns}
      rowKey={(row) => row.id}
      empty={
        <Empty icon="sliders" title={t("noTerms")}>
          {t("noTermsHint")}
        </Empty>
      }
    />
  );
}

function PriceDialog({ scope, onClose }: { scope: string; onClose: () => void }) {
  const [meter, setMeter] = useState("output_tokens");
  const [model, setModel] = useState("*");
  const [price, setPrice] = useState("");
  const [currency, setCurrency] = useState("USD");
  const exact = /^\d{1,10}(\.\d{1,18})?$/.test(price.trim());
  const submit = async () => {
    const body = { meter: meter.trim(), model: model.trim(), currency, scope, unit_price: price.trim(), withdrawn: false, valid_from: null };
    await unwrap(api.POST("/api/v1/prices", { body }));
    notify("ok", t("priceSet"));
  };
  const hint = exact ? `${formatMoney(costOf(1_000_000, price.trim()), currency)}, ${t("perMillion")}` : t("unitPriceHint");
  return (
    <FormDialog title={t("setPriceTitle")} action={t("setPrice")} blocked={!exact} onClose={onClose} onSubmit={submit}>
      <p className="text-sm text-muted">
        {t("setPriceHint")} <span className="font-medium">{placeWords(scope)}</span>
      </p>
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label={t("meter")}>{(ids) => <Input {...ids} required maxLength={128} value={meter} onChange={(event) => setMeter(event.target.value)} />}</Field>
        <Field label={t("model")} hint={t("modelHint")}>
          {(ids) => <Input {...ids} required maxLength={512} value={model} onChange={(event) => setModel(event.target.value)} />}
        </Field>
        <Field label={t("perUnit")} hint={hint}>
          {(ids) => <Input {...ids} required inputMode="decimal" value={price} onChange={(event) => setPrice(event.target.value)} />}
        </Field>
        <Field label={t("currency")}>
          {(ids) => <Input {...ids} required pattern="[A-Z]{3}" value={currency} onChange={(event) => setCurrency(event.target.value.toUpperCase())} />}
        </Field>
      </div>
    </FormDialog>
  );
}
