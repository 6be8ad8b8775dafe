/** A new version of a price: what it is for, what it costs from when on, and what that would have made of the last weeks. */
import { api, live, pageAddress, unwrap, useGo, usePages, usePlace, useQueryString, useWriting } from "@ironworks/sdk";
import { Choice, Facts, Field, Input, Section, Time, notify } from "@ironworks/ui";
import { useState } from "react";

import { countsFor, isOf, keyFrom, readDraft, standOf, unitPriceOf, wordsOf } from "./book.ts";
import type { BookKey } from "./book.ts";
import { PriceInput } from "./book-fields.tsx";
import { BookForm } from "./book-form.tsx";
import { placeWords, priceWords } from "./parts.tsx";
import { Simulated } from "./simulated.tsx";
import type { Price } from "./types.ts";
import { t } from "./words.ts";

export default function PriceForm() {
  const { scope } = usePlace();
  const go = useGo();
  const [params] = useQueryString();
  const [key, setKey] = useState<BookKey>(() => keyFrom(params, scope));
  const [action, setAction] = useState<"set" | "withdraw">(params.get("do") === "withdraw" ? "withdraw" : "set");
  const [price, setPrice] = useState(() => readDraft(params.get("price") ?? ""));
  const [when, setWhen] = useState<"now" | "later">("now");
  const [moment, setMoment] = useState("");
  const writing = useWriting();
  const unit = unitPriceOf(price);
  const ready = key.meter !== "" && (action === "withdraw" || unit !== null) && (when === "now" || moment !== "");
  const add = async () => {
    const what = action === "set" ? { unit_price: unit, withdrawn: false } : { unit_price: null, withdrawn: true };
    const valid_from = when === "now" ? null : new Date(moment).toISOString();
    await unwrap(api.POST("/api/v1/prices", { body: { ...key, ...what, valid_from } }));
    notify("ok", t("priceAdded"));
    go(pageAddress(scope, "billing", "prices/versions", wordsOf(key)));
  };
  const simulated = action === "set" && key.meter && unit !== null ? { prices: [{ meter: key.meter, model: key.model, scope: key.scope, unit_price: unit }], terms: [] } : null;
  return (
    <BookForm
      title={t("newPrice")}
      of={key}
      onOf={setKey}
      scopeHint={t("whereHint")}
      ready={ready}
      writing={writing}
      add={add}
      aside={
        <>
          <Present of={key} />
          <Simulated at={key.scope} currency={key.currency} book={simulated} />
        </>
      }
    >
      <div className="flex flex-col items-start gap-1">
        <Choice label={t("whatHappens")} value={action} onChange={setAction} options={[{ value: "set", label: t("setIt") }, { value: "withdraw", label: t("withdrawIt") }]} />
        {action === "withdraw" && <p className="text-xs text-faint">{t("withdrawPriceHint")}</p>}
      </div>
      <div className="grid items-start gap-x-3 gap-y-4 sm:grid-cols-2">
        {action === "set" && (
          <Field label={t("priceField", { currency: key.currency })} hint={unit && `${unit} ${key.currency}, ${t("perUnit").toLowerCase()}`} problem={price.text && unit === null ? t("priceProblem") : undefined}>
            {(ids) => <PriceInput {...ids} required value={price} onChange={setPrice} />}
          </Field>
        )}
        <div className="flex flex-col items-start gap-1">
          <span className="text-xs font-medium text-muted">{t("begins")}</span>
          <Choice label={t("begins")} value={when} onChange={setWhen} options={[{ value: "now", label: t("atOnce") }, { value: "later", label: t("atMoment") }]} />
        </div>
        {when === "later" && (
          <Field label={t("beginsAt")} hint={t("beginsAtHint")}>
            {(ids) => <Input {...ids} type="datetime-local" required value={moment} onChange={(event) => setMoment(event.target.value)} />}
          </Field>
        )}
      </div>
    </BookForm>
  );
}

/** What counts now for what the form is about, and what is planned. */
function Present({ of: key }: { of: BookKey }) {
  const list = usePages<Price>("/api/v1/prices", { scope: key.scope, meter: key.meter }, { enabled: key.meter !== "", limit: 200, ...live(key.scope, "prices") });
  if (key.meter === "" || list.loading || list.error) return null;
  const now = countsFor(list.items, key);
  const next = list.items.filter((price) => isOf(price, key) && standOf(price) === "later");
  return (
    <Section>
      <Facts
        items={[
          { label: t("countsNow"), value: now ? <Counting price={now} /> : t("noneCounts") },
          ...next.map((price) => ({ key: price.id, label: t("comesNext"), value: <Counting price={price} /> })),
        ]}
      />
    </Section>
  );
}

const Counting = ({ price }: { price: Price }) => (
  <>
    <span className="font-medium">{price.withdrawn ? t("withdrawn") : priceWords(price)}</span>{" "}
    <span className="text-xs text-muted">
      {placeWords(price.scope)}, <Time at={price.valid_from} />
    </span>
  </>
);
