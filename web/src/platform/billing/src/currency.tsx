/** In which currency what an account uses is rated: for whoever sees its bills, and, for who makes prices, another one. */
import { api, live, tell, unwrap, useCan, useQuery, useQueryClient, useWriting } from "@ironworks/sdk";
import { Button, Callout, Facts, Field, Input, Section, Skeleton, Time, notify } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { today } from "./days.ts";
import { t } from "./words.ts";

const keyOf = (account: string) => ["billing", "currency", account];

export function CurrencySection({ account }: { account: string }) {
  const can = useCan();
  const found = useQuery({
    queryKey: keyOf(account),
    ...live(account, "prices"),
    enabled: can("billing:read", account),
    queryFn: () => unwrap(api.GET("/api/v1/scopes/{path}/currency", { params: { path: { path: account } } })),
  });
  if (!can("billing:read", account)) return null;
  const later = found.data?.versions.filter(({ valid_from }) => Date.parse(valid_from) > Date.now()) ?? [];
  return (
    <Section title={t("currency")} hint={t("currencyHint")}>
      {found.error && <Callout tone="bad">{tell(found.error)}</Callout>}
      {found.isPending && <Skeleton className="h-10 w-full" />}
      {found.data && (
        <div className="flex flex-col gap-4">
          <Facts
            items={[
              { label: t("currencyNow"), value: found.data.currency },
              ...later.map(({ currency, valid_from }) => ({ label: t("currencyLater"), value: <span>{currency} <Time at={valid_from} /></span> })),
            ]}
          />
          {can("price:create", "-") && <CurrencyForm account={account} />}
        </div>
      )}
    </Section>
  );
}

function CurrencyForm({ account }: { account: string }) {
  const client = useQueryClient();
  const [code, setCode] = useState("");
  const [day, setDay] = useState("");
  const { busy, failure, run } = useWriting();
  const save = async () => {
    const body = { currency: code, valid_from: day ? `${day}T00:00:00Z` : null };
    client.setQueryData(keyOf(account), await unwrap(api.PUT("/api/v1/scopes/{path}/currency", { params: { path: { path: account } }, body })));
    notify("ok", t("currencySaved", { account, currency: code }));
    setCode("");
    setDay("");
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(save);
  };
  return (
    <form className="flex flex-col gap-3 border-t border-line pt-4" onSubmit={submit}>
      <div className="grid items-start gap-3 sm:grid-cols-2">
        <Field label={t("currencyNew")} hint={t("currencyCode")}>
          {(ids) => (
            <Input {...ids} required pattern="[A-Z]{3}" maxLength={3} autoComplete="off" spellCheck={false} value={code} onChange={(event) => setCode(event.target.value.toUpperCase())} />
          )}
        </Field>
        <Field label={t("currencyFrom")} hint={t("currencyFromHint")}>
          {(ids) => <Input {...ids} type="date" min={today()} value={day} onChange={(event) => setDay(event.target.value)} />}
        </Field>
      </div>
      <p className="text-xs text-faint">{t("currencyWaits")}</p>
      {failure !== null && <Callout tone="bad">{tell(failure)}</Callout>}
      <div>
        <Button type="submit" busy={busy}>
          {t("currencySet")}
        </Button>
      </div>
    </form>
  );
}
