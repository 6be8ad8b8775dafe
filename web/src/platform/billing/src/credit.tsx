/** Money paid beforehand, or given: what is left, in which order it is used, when it expires. */
import { api, live, pageAddress, tell, unwrap, useCan, useGo, usePages, usePlace, useTable } from "@ironworks/sdk";
import { Badge, Button, Callout, DataTable, Empty, Page, Section, Stat, Time, notify } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useMemo, useState } from "react";

import { NotYours, accountOf, useCredit } from "./account.tsx";
import { GrantDialog, PrepaidDialog } from "./credit-forms.tsx";
import { nanoOf, showAmount, toNumber } from "./money.ts";
import { orderOfUse } from "./order.ts";
import { Money } from "./parts.tsx";
import type { CreditBalance, Grant } from "./types.ts";
import { t } from "./words.ts";

function columnsOf(everybody: boolean, order: Map<string, number>): Column<Grant>[] {
  const money = (id: string, label: string, of: (grant: Grant) => Grant["granted"]): Column<Grant> => ({
    id, label, align: "right", width: "minmax(6rem, 1fr)", value: (row) => toNumber(nanoOf(of(row))), cell: (row) => <Money amount={of(row)} />,
  });
  const faint = <span className="text-faint">–</span>;
  return [
    ...(everybody
      ? [{ id: "account", label: t("account"), value: (row: Grant) => row.account, width: "minmax(8rem, 1fr)" }]
      : [{ id: "order", label: t("order"), width: "4.5rem", secondary: true, value: (row: Grant) => order.get(row.id) ?? null, cell: (row: Grant) => order.get(row.id) ?? faint }]),
    { id: "reference", label: t("reference"), value: (row) => row.reference, width: "minmax(8rem, 1.5fr)" },
    money("remaining", t("remaining"), (row) => row.remaining),
    { ...money("granted", t("given"), (row) => row.granted), secondary: true },
    {
      id: "source", label: t("source"), width: "6rem", secondary: true, value: (row) => t(row.source === "paid" ? "sourcePaid" : "sourcePromotion"),
      options: [t("sourcePaid"), t("sourcePromotion")],
    },
    { id: "priority", label: t("priority"), align: "right", width: "5.5rem", secondary: true, value: (row) => row.priority },
    {
      id: "expires", label: t("expires"), width: "minmax(6.5rem, 1fr)", value: (row) => (row.expires_at ? Date.parse(row.expires_at) : null),
      cell: (row) => (row.held ? <Badge tone="warn">{t("held")}</Badge> : row.expires_at ? <Time at={row.expires_at} /> : <span className="text-faint">{t("never")}</span>),
    },
    { id: "note", label: t("note"), secondary: true, value: (row) => row.note },
    { id: "granted_at", label: t("grantedAt"), width: "7rem", secondary: true, value: (row) => Date.parse(row.granted_at), cell: (row) => <Time at={row.granted_at} /> },
  ];
}

export default function CreditPage() {
  const { scope } = usePlace();
  const account = accountOf(scope);
  const can = useCan();
  return account && !can("billing:read", account) ? <NotYours account={account} scope={scope} /> : <Credit account={account} />;
}

/** Of an account, or of everybody. */
function Credit({ account }: { account: string | null }) {
  const can = useCan();
  const go = useGo();
  const [giving, setGiving] = useState(false);
  const credit = useCredit(account);
  const list = usePages<Grant>(`/api/v1/scopes/${encodeURIComponent(account ?? "-")}/credits`, {}, live(account ?? "-", "ledger"));
  const order = useMemo(() => new Map(orderOfUse(list.items).map((grant, index) => [grant.id, index + 1])), [list.items]);
  const columns = useMemo(() => columnsOf(account === null, order), [account, order]);
  const give = account && can("ledger:post", "-") && (
    <Button look="primary" icon="plus" onClick={() => setGiving(true)}>
      {t("giveCredit")}
    </Button>
  );
  const table = useTable(list);
  return (
    <Page fill title={t("credit")} meta={account && <span className="text-sm text-muted">{account}</span>} actions={give}>
      {credit.error && <Callout tone="bad">{tell(credit.error)}</Callout>}
      {account && credit.data && <Balances account={account} balances={credit.data.balances} />}
      <DataTable
        label={t("grants")}
        {...table}
        columns={columns}
        rowKey={(grant) => grant.id}
        {...(account === null && { onOpen: (grant: Grant) => go(pageAddress(grant.account, "billing", "credit")) })}
        empty={
          <Empty icon="card" title={t("noGrants")} actions={give}>
            {t("noGrantsHint")}
          </Empty>
        }
      />
      {account && list.items.length > 0 && <p className="text-xs text-faint">{t("orderHint")}</p>}
      {giving && account && (
        <GrantDialog account={account} currency={credit.data?.balances[0]?.credit.currency ?? "USD"} onClose={() => setGiving(false)} />
      )}
    </Page>
  );
}

function Balances({ account, balances }: { account: string; balances: readonly CreditBalance[] }) {
  return balances.map((balance) => (
    <div key={balance.credit.currency} className="flex flex-col gap-3">
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
        <Stat icon="money" label={t("available")} value={showAmount(balance.available)} note={t("availableHint")} />
        <Stat icon="card" label={t("creditLeft")} value={showAmount(balance.credit)} />
        <Stat icon="activity" label={t("unbilled")} value={showAmount(balance.unbilled)} />
        <Stat icon="receipt" label={t("dueTotal")} value={showAmount(balance.due)} />
      </div>
      <State account={account} balance={balance} />
    </div>
  ));
}

/** The state in words, with what it does; the operator's people set how the account pays. */
function State({ account, balance }: { account: string; balance: CreditBalance }) {
  const can = useCan();
  const [setting, setSetting] = useState(false);
  const { prepaid } = balance;
  const { currency } = balance.credit;
  const state = prepaid?.state;
  const remove = async () => {
    try {
      await unwrap(api.DELETE("/api/v1/scopes/{path}/prepaid/{currency}", { params: { path: { path: account, currency } } }));
      notify("ok", t("prepaidRemoved"));
    } catch (error) {
      notify("bad", tell(error));
    }
  };
  return (
    <Section>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
        <div className="min-w-60 flex-1">
          <p className="flex items-center gap-2 font-medium">
            {t("prepaid")}
            <Badge tone={!state ? "idle" : state === "healthy" ? "ok" : state === "low_balance" ? "warn" : "bad"}>{t(state ?? "paysAfterwards")}</Badge>
          </p>
          <p className="text-xs text-muted">
            {state ? t(`${state}Hint`) : t("prepaidHint")}{" "}
            {prepaid?.release_at && (
              <>
                {t("releaseAt")}: <Time at={prepaid.release_at} exact />
              </>
            )}
          </p>
        </div>
        {prepaid && (
          <span className="text-xs text-muted">
            {t("prepaidLow")} <Money amount={prepaid.low} />
          </span>
        )}
        {can("ledger:post", "-") && (
          <>
            {prepaid && <Button onClick={() => void remove()}>{t("prepaidOff")}</Button>}
            <Button onClick={() => setSetting(true)}>{t(prepaid ? "prepaidChange" : "prepaidSet")}</Button>
          </>
        )}
      </div>
      {setting && <PrepaidDialog account={account} currency={currency} prepaid={prepaid} onClose={() => setSetting(false)} />}
    </Section>
  );
}
