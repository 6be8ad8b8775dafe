/** A new version of terms, and what it would have made of the last weeks. */
import { ApiError, api, pageAddress, unwrap, useGo, usePlace, useQueryString, useWriting } from "@ironworks/sdk";
import { Choice, Field, Input, Section, notify } from "@ironworks/ui";
import { SchemaForm } from "@ironworks/ui/form";
import { useState } from "react";

import { accountOf } from "./account.tsx";
import { keyFrom, wordsOf } from "./book.ts";
import type { BookKey } from "./book.ts";
import { BookForm } from "./book-form.tsx";
import { today } from "./days.ts";
import { Simulated } from "./simulated.tsx";
import { TERMS_SCHEMA, saidTerms, termsWords } from "./terms.ts";
import type { NewTerms, Terms } from "./types.ts";
import { t } from "./words.ts";

const ACTIONS = { set: "termsSet", none: "termsNone", withdraw: "termsWithdraw" } as const;
type Action = keyof typeof ACTIONS;
const HINTS = { set: "termsHint", none: "termsNoneHint", withdraw: "termsWithdrawHint" } as const;

/** What the API finds wrong with the terms, by the names that their form has. */
const problemsOf = (failure: unknown) =>
  failure instanceof ApiError ? failure.fields.filter(({ field }) => field.startsWith("terms.")).map((one) => ({ ...one, field: one.field.slice("terms.".length) })) : [];

export default function TermsForm() {
  const { scope } = usePlace();
  const go = useGo();
  const [params] = useQueryString();
  const [key, setKey] = useState<BookKey>(() => keyFrom(params, scope));
  const [action, setAction] = useState<Action>(params.get("do") === "withdraw" ? "withdraw" : "set");
  const [terms, setTerms] = useState<object>({});
  const [day, setDay] = useState(today());
  const writing = useWriting();
  const problems = problemsOf(writing.failure);
  const said = action === "set" ? (saidTerms(terms) as NewTerms["terms"]) : ({} as NewTerms["terms"]);
  const spoken = spokenOf(said, key.currency);
  const ready = key.meter !== "" && (action !== "set" || spoken.length > 0);
  const add = async () => {
    await unwrap(api.POST("/api/v1/price-terms", { body: { ...key, terms: said, withdrawn: action === "withdraw", valid_from: day } }));
    notify("ok", t("priceAdded"));
    go(pageAddress(scope, "billing", "prices/terms", wordsOf(key)));
  };
  const book = ready && action !== "withdraw" ? { prices: [], terms: [{ meter: key.meter, model: key.model, scope: key.scope, terms: said }] } : null;
  return (
    <BookForm
      title={t("newTerms")}
      of={key}
      onOf={setKey}
      scopeHint={t("whereTermsHint")}
      ready={ready}
      writing={writing}
      placed={problems.length > 0 && problems.length === (writing.failure as ApiError).fields.length}
      add={add}
      aside={
        <>
          <Section title={t("termsSay")}>
            <p className="text-sm">{action === "set" ? spoken.join(", ") || <span className="text-muted">{t("termsNothing")}</span> : t(ACTIONS[action])}</p>
          </Section>
          <Simulated at={accountOf(key.scope) ?? "-"} currency={key.currency} book={book} />
        </>
      }
    >
      <div className="flex flex-col items-start gap-1">
        <Choice
          label={t("termsDo")}
          value={action}
          onChange={setAction}
          options={(Object.keys(ACTIONS) as Action[]).map((value) => ({ value, label: t(ACTIONS[value]) }))}
        />
        <p className="text-xs text-faint">{t(HINTS[action])}</p>
      </div>
      {action === "set" && <SchemaForm schema={TERMS_SCHEMA} value={terms} onChange={(next) => setTerms(next as object)} problems={problems} />}
      <div className="sm:w-1/2 sm:pr-1.5">
        <Field label={t("beginsAt")} hint={t("beginsOnHint")}>
          {(ids) => <Input {...ids} type="date" required min={today()} value={day} onChange={(event) => setDay(event.target.value)} />}
        </Field>
      </div>
    </BookForm>
  );
}

/** Nothing while an amount is half written. */
function spokenOf(terms: NewTerms["terms"], currency: string): string[] {
  try {
    return termsWords({ terms, currency } as Terms);
  } catch {
    return [];
  }
}
