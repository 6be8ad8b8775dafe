/** How an account pays, and how its invoices address it. */
import { api, tell, unwrap, useCan, usePlace } from "@ironworks/sdk";
import { Badge, Button, Callout, Confirm, Empty, Icon, Loading, Page, Section, notify } from "@ironworks/ui";
import { useState } from "react";

import { ChooseAccount, NotYours, accountOf, useCredit, useMethods } from "./account.tsx";
import { openCheckout, useCheckoutReturn } from "./checkout.ts";
import { CurrencySection } from "./currency.tsx";
import { showDay } from "./days.ts";
import { DetailsForm } from "./details.tsx";
import type { Method } from "./types.ts";
import { t } from "./words.ts";

export default function PaymentPage() {
  const { scope } = usePlace();
  const account = accountOf(scope);
  const can = useCan();
  if (account && !can("payment-method:read", account)) return <NotYours account={account} scope={scope} />;
  return (
    <Page title={t("payment")} meta={account && <span className="text-sm text-muted">{account}</span>}>
      <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-2">
        {account ? <Methods account={account} /> : <Section><ChooseAccount page="payment" /></Section>}
        <div className="flex min-w-0 flex-col gap-4">
          {account && <CurrencySection account={account} />}
          <DetailsForm scope={account ?? "-"} />
        </div>
      </div>
    </Page>
  );
}

function Methods({ account }: { account: string }) {
  const can = useCan();
  const found = useMethods(account);
  const credit = useCredit(account);
  const [busy, setBusy] = useState(false);
  useCheckoutReturn(account);
  if (found.error) return <Callout tone="bad">{tell(found.error)}</Callout>;
  if (!found.data) return <Loading />;
  const { provider, items } = found.data;
  if (!provider) return <WithoutProvider />;
  const open = async () => {
    setBusy(true);
    try {
      await openCheckout(account, credit.data?.balances[0]?.credit.currency ?? "USD");
    } catch (error) {
      notify("bad", tell(error));
      setBusy(false);
    }
  };
  const add = can("payment-method:create", account) && (
    <Button look="primary" icon="plus" busy={busy} onClick={() => void open()}>
      {t("addMethod")}
    </Button>
  );
  return (
    <Section title={t("methods")} hint={t("methodsHint")} actions={items.length > 0 && add} flush>
      {items.length === 0 ? (
        <Empty icon="card" title={t("noMethods")} actions={add}>
          {t("noMethodsHint")}
        </Empty>
      ) : (
        <ul className="divide-y divide-line">
          {items.map((method) => (
            <MethodRow key={method.reference} account={account} method={method} />
          ))}
        </ul>
      )}
    </Section>
  );
}

const WithoutProvider = () => {
  const can = useCan();
  return (
    <Section>
      <Empty icon="receipt" title={t("withoutStripe")}>
        <p>{t("withoutStripeHint")}</p>
        {can("receipt:create", "-") && <p className="mt-2">{t("withoutStripeOperator")}</p>}
      </Empty>
    </Section>
  );
};

function MethodRow({ account, method }: { account: string; method: Method }) {
  const can = useCan();
  const [removing, setRemoving] = useState(false);
  const [busy, setBusy] = useState(false);
  const place = { params: { path: { path: account, method: method.reference } } };
  const choose = async () => {
    setBusy(true);
    try {
      await unwrap(api.POST("/api/v1/scopes/{path}/payment-methods/{method}:default", place));
      notify("ok", t("madeDefault", { method: method.label }));
    } catch (error) {
      notify("bad", tell(error));
    } finally {
      setBusy(false);
    }
  };
  const remove = async () => {
    await unwrap(api.DELETE("/api/v1/scopes/{path}/payment-methods/{method}", place));
    notify("ok", t("removed", { method: method.label }));
  };
  return (
    <li className="flex flex-wrap items-center gap-3 px-4 py-2.5">
      <Icon name="card" className="text-faint" />
      <span className="min-w-0 flex-1">
        <span className="flex flex-wrap items-center gap-2 font-medium">
          {method.label}
          {method.default && <Badge tone="ok">{t("isDefault")}</Badge>}
        </span>
        {method.expires_on && <span className="text-xs text-faint">{t("expiresOn", { day: showDay(method.expires_on) })}</span>}
      </span>
      {!method.default && can("payment-method:create", account) && (
        <Button small busy={busy} onClick={() => void choose()}>
          {t("makeDefault")}
        </Button>
      )}
      {can("payment-method:delete", account) && (
        <Button small look="danger" onClick={() => setRemoving(true)}>
          {t("remove")}
        </Button>
      )}
      <Confirm open={removing} onClose={() => setRemoving(false)} title={t("removeTitle", { method: method.label })} action={t("remove")} onConfirm={remove}>
        <p className="text-sm text-muted">{t("removeHint")}</p>
      </Confirm>
    </li>
  );
}
