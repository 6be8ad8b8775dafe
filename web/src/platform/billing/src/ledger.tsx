/** The books of a scope and all below it: every transfer, and every ledger account with what it comes to. */
import { live, pageAddress, useGo, usePages, usePlace, useQueryWord, useTable } from "@ironworks/sdk";
import type { Growing } from "@ironworks/sdk";
import { Badge, Button, Choice, DataTable, Empty, Page, Select, Tabs, Time, words } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useState } from "react";

import { nanoOf, toNumber } from "./money.ts";
import { Money, Tail, scopeWords } from "./parts.tsx";
import type { Account, Transfer } from "./types.ts";
import { t } from "./words.ts";

const KINDS = [
  "usage", "fee", "adjustment", "invoice", "tax", "rounding", "payment", "refund", "credit_grant", "credit_use", "credit_expiry", "credit_note",
  "write_off", "reversal",
] as const;
const PURPOSES = ["receivable", "due", "credit", "revenue", "cash", "promotion", "tax", "rounding", "loss"] as const;
const RANGES = { rangeAll: null, rangeDay: 1, rangeWeek: 7, rangeMonth: 30 } as const;
type Range = keyof typeof RANGES;

const Side = ({ side }: { side: Transfer["debit"] }) => (
  <span>
    {words(side.purpose)} <span className="text-xs text-faint">{scopeWords(side.scope)}</span>
  </span>
);
const sideWords = (side: Transfer["debit"]): string => t("sideOf", { purpose: side.purpose, scope: scopeWords(side.scope) });

const TRANSFERS: Column<Transfer>[] = [
  { id: "posted", label: t("posted"), width: "6.5rem", value: (row) => Date.parse(row.posted_at), cell: (row) => <Time at={row.posted_at} /> },
  { id: "kind", label: t("kind"), width: "minmax(6rem, 0.8fr)", value: (row) => words(row.kind) },
  { id: "debit", label: t("debit"), width: "minmax(10rem, 1.4fr)", secondary: true, value: (row) => sideWords(row.debit), cell: (row) => <Side side={row.debit} /> },
  { id: "credit", label: t("credited"), width: "minmax(10rem, 1.4fr)", secondary: true, value: (row) => sideWords(row.credit), cell: (row) => <Side side={row.credit} /> },
  { id: "amount", label: t("amount"), align: "right", width: "minmax(7rem, 1fr)", value: (row) => toNumber(nanoOf(row.moved)), cell: (row) => <Money exact amount={row.moved} /> },
];

const ACCOUNTS: Column<Account>[] = [
  { id: "scope", label: t("scope"), value: (row) => scopeWords(row.scope), width: "minmax(7rem, 1.5fr)", cell: (row) => <Tail text={scopeWords(row.scope)} from="." /> },
  { id: "purpose", label: t("purpose"), width: "minmax(6rem, 1fr)", value: (row) => words(row.purpose), options: PURPOSES.map(words) },
  { id: "balance", label: t("balance"), align: "right", width: "minmax(7rem, 1fr)", value: (row) => toNumber(nanoOf(row.balance)), cell: (row) => <Money exact amount={row.balance} /> },
  { id: "currency", label: t("currency"), width: "6rem", secondary: true, value: (row) => row.balance.currency },
  { id: "opened", label: t("opened"), width: "8rem", secondary: true, value: (row) => Date.parse(row.opened_at), cell: (row) => <Time at={row.opened_at} /> },
];

export default function Ledger() {
  const [tab, setTab] = useQueryWord("tab", "transfers");
  return (
    <Page fill title={t("ledger")}>
      <Tabs
        label={t("ledger")}
        value={tab}
        onChange={setTab}
        tabs={[
          { id: "transfers", label: t("transfers"), content: <Transfers /> },
          { id: "accounts", label: t("accounts"), content: <Accounts /> },
        ]}
      />
    </Page>
  );
}

/** A transfer has the moment at which its transaction began, and may be seen later than one that began after it. */
const LATE_MS = 60_000;
const GROWS: Growing<Transfer> = {
  id: (transfer) => transfer.id,
  at: (transfer) => transfer.posted_at,
  since: (newest) => ({ from: new Date(Date.parse(newest.posted_at) - LATE_MS).toISOString() }),
};

const FILL = "flex h-full min-h-0 flex-col gap-3";

function Transfers() {
  const { scope } = usePlace();
  const go = useGo();
  const [kind, setKind] = useQueryWord("kind");
  const [purpose, setPurpose] = useQueryWord("purpose");
  const [account, setAccount] = useQueryWord("account");
  const [name] = useQueryWord("of");
  const [range, setRange] = useQueryWord("range", "rangeAll");
  const days = RANGES[(range in RANGES ? range : "rangeAll") as Range];
  const [opened] = useState(() => Date.now());
  const from = days === null ? undefined : new Date(opened - days * 86_400_000).toISOString();
  const list = usePages<Transfer>(`/api/v1/scopes/${encodeURIComponent(scope)}/transfers`, { kind, purpose, account, from }, { ...live(scope, "ledger"), grows: GROWS });
  const table = useTable(list, (row) => pageAddress(scope, "billing", `ledger/${row.id}`));
  const filtered = Boolean(kind || purpose || account || from);
  const clear = () => go(pageAddress(scope, "billing", "ledger"), { replace: true });
  return (
    <div className={FILL}>
      <div className="flex flex-wrap items-center gap-2">
        <Select aria-label={t("kind")} value={kind} onChange={(event) => setKind(event.target.value)}>
          <option value="">{`${t("kind")}: ${t("all").toLowerCase()}`}</option>
          {KINDS.map((word) => (
            <option key={word} value={word}>
              {words(word)}
            </option>
          ))}
        </Select>
        <Select aria-label={t("purpose")} value={purpose} onChange={(event) => setPurpose(event.target.value)}>
          <option value="">{`${t("purpose")}: ${t("all").toLowerCase()}`}</option>
          {PURPOSES.map((word) => (
            <option key={word} value={word}>
              {words(word)}
            </option>
          ))}
        </Select>
        <Choice label={t("range")} value={range as Range} onChange={setRange} options={(Object.keys(RANGES) as Range[]).map((value) => ({ value, label: t(value) }))} />
        {account && (
          <span className="flex items-center gap-1">
            <Badge tone="info">{name || account.slice(0, 8)}</Badge>
            <Button small look="quiet" icon="close" onClick={() => setAccount("")}>
              {t("clear")}
            </Button>
          </span>
        )}
      </div>
      <DataTable
        label={t("transfers")}
        {...table}
        columns={TRANSFERS}
        rowKey={(row) => row.id}
        empty={
          <Empty icon="route" title={t("noTransfers")} actions={filtered && <Button onClick={clear}>{t("clear")}</Button>}>
            {!filtered && t("noTransfersHint")}
          </Empty>
        }
      />
    </div>
  );
}

function Accounts() {
  const { scope } = usePlace();
  const list = usePages<Account>(`/api/v1/scopes/${encodeURIComponent(scope)}/ledger-accounts`, {}, live(scope, "ledger"));
  const table = useTable(list, (row) => pageAddress(scope, "billing", "ledger", { account: row.id, of: sideWords(row) }));
  return (
    <div className={FILL}>
      <p className="text-xs text-faint">{t("balanceHint")}</p>
      <DataTable
        label={t("accounts")}
        {...table}
        columns={ACCOUNTS}
        rowKey={(row) => row.id}
        empty={
          <Empty icon="book" title={t("noAccounts")}>
            {t("noAccountsHint")}
          </Empty>
        }
      />
    </div>
  );
}
