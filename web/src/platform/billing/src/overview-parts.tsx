/** The parts of an account's first page. */
import { Link, pageAddress, usePlace } from "@ironworks/sdk";
import { Badge, Callout, Icon, Section, Skeleton, Stat, Time, buttonClass, formatCompact, formatMoney, formatNumber, words } from "@ironworks/ui";

import { daysBetween, showDay, showPeriod, today } from "./days.ts";
import { nanoOf, showAmount, sum } from "./money.ts";
import { Day, InvoiceState, Money, Nano, Row, Bar, nameOf } from "./parts.tsx";
import type { SoFar } from "./period.ts";
import { isLive } from "./period.ts";
import type { CreditBalance, Grant, Invoice, Method, Standing } from "./types.ts";
import { t } from "./words.ts";

/** What a person should know before anything else. */
export function Warnings({ account, standing, balance }: { account: string; standing: Standing | null; balance: CreditBalance | undefined }) {
  const state = balance?.prepaid?.state;
  return (
    <>
      {standing?.status === "past_due" && (
        <Callout tone="bad" title={t("past_due")}>
          {t("pastDueHint", { when: standing.grace_until ? showDay(standing.grace_until) : t("never") })}{" "}
          <Link to={pageAddress(account, "billing", "invoices", { "f.state": t("overdue") })} className="font-medium underline">
            {t("openInvoices")}
          </Link>
        </Callout>
      )}
      {isLive(standing) && standing.ends_on && <Callout tone="warn">{t("endsOn", { day: showDay(standing.ends_on) })}</Callout>}
      {isLive(standing) && standing.next_plan && (
        <Callout>{t("changesOn", { plan: standing.next_plan.title, day: showDay(standing.period_end) })}</Callout>
      )}
      {state && state !== "healthy" && (
        <Callout tone={state === "low_balance" ? "warn" : "bad"} title={t(state)}>
          {t(`${state}Hint`)}{" "}
          {balance?.prepaid?.release_at && (
            <>
              {t("releaseAt")}: <Time at={balance.prepaid.release_at} />
            </>
          )}
        </Callout>
      )}
    </>
  );
}

interface FiguresProps {
  account: string;
  spent: SoFar;
  balance: CreditBalance | undefined;
  grants: readonly Grant[];
  invoices: readonly Invoice[];
  standing: Standing | null;
}

export function Figures({ spent, balance, grants, invoices, standing }: FiguresProps) {
  const open = sum(invoices.map((invoice) => nanoOf(invoice.due)));
  const state = balance?.prepaid?.state;
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Stat
        icon="money"
        label={t("periodSoFar")}
        value={formatMoney(spent.total, spent.currency)}
        note={showPeriod(spent.start, spent.end)}
      />
      <Stat
        icon="card"
        label={
          <>
            {t("creditLeft")}
            {state && <Badge tone={state === "healthy" ? "ok" : state === "low_balance" ? "warn" : "bad"}>{t(state)}</Badge>}
          </>
        }
        value={balance ? showAmount(balance.credit) : formatMoney(0n, spent.currency)}
        note={<NextExpiry grants={grants} />}
      />
      <Stat
        icon="receipt"
        label={t("openInvoices")}
        value={formatMoney(open, spent.currency)}
        note={invoices.length > 0 ? t("openCount", { count: invoices.length }) : t("nothingOpen")}
      />
      <Stat
        icon="clock"
        label={t("nextInvoice")}
        value={<span className="text-lg">{showDay(spent.end)}</span>}
        note={isLive(standing) ? `${standing.plan.title}, ${t(standing.status).toLowerCase()}` : t("noPlan")}
      />
    </div>
  );
}

function NextExpiry({ grants }: { grants: readonly Grant[] }) {
  const left = grants.filter((grant) => nanoOf(grant.remaining) > 0n);
  const next = left.filter((grant) => grant.expires_at && !grant.held).sort((a, b) => (a.expires_at ?? "").localeCompare(b.expires_at ?? ""))[0];
  if (!next) return <>{t(left.length > 0 ? "creditLasts" : grants.length > 0 ? "creditUsed" : "creditNone")}</>;
  return (
    <>
      {t("creditExpires", { amount: showAmount(next.remaining), when: "" })}
      <Time at={next.expires_at} />
    </>
  );
}

/** Fee, included quantities as bars, and everything else by what it costs. */
export function Breakdown({ account, spent, standing }: { account: string | null; spent: SoFar; standing: Standing | null }) {
  const live = isLive(standing) ? standing : null;
  const days = Math.max(0, daysBetween(today(), spent.end));
  const empty = !live && spent.others.length === 0;
  const unused = spent.included.filter((one) => one.used === 0).map((one) => `${words(one.meter)} (${formatCompact(one.included)})`);
  return (
    <Section
      title={t("periodSoFar")}
      hint={t("periodDays", { period: showPeriod(spent.start, spent.end), days })}
      actions={
        account && (
          <Link to={pageAddress(account, "billing", "plan")} className="text-xs whitespace-nowrap text-muted hover:text-ink hover:underline">
            {t(live ? "seePlan" : "choosePlan")}
          </Link>
        )
      }
    >
      {live && (
        <Row
          label={t(live.status === "trialing" ? "feeTrial" : "fee", { plan: live.plan.title })}
          hint={t("feeHint")}
          value={<Nano nano={spent.fee} currency={spent.currency} />}
        />
      )}
      {spent.included.filter((one) => one.used > 0).map((one) => (
        <Row
          key={one.meter}
          label={words(one.meter)}
          hint={t("withinPlan", { used: formatCompact(one.used), included: formatCompact(one.included) })}
          value={<Nano nano={one.cost} currency={spent.currency} />}
        >
          <Bar label={words(one.meter)} used={one.used} limit={one.included} />
          {one.used > one.included && <span className="text-xs text-bad">{t("beyondPlan", { over: formatNumber(one.used - one.included) })}</span>}
        </Row>
      ))}
      {spent.others.map((one) => (
        <Row
          key={one.meter}
          label={words(one.meter)}
          hint={t("usageOther", { used: formatCompact(one.used) })}
          value={<Nano nano={one.cost} currency={spent.currency} />}
        />
      ))}
      {unused.length > 0 && <p className="border-b border-line py-2 text-xs text-faint">{t("unused", { meters: unused.join(", ") })}</p>}
      {empty && <p className="py-2 text-sm text-muted">{t("nothingUsed")}</p>}
      <Row label={<span className="font-semibold">{t("total")}</span>} value={<Nano nano={spent.total} currency={spent.currency} strong />} />
      {account && <p className="pt-2 text-xs text-faint">{t("soFarHint")}</p>}
    </Section>
  );
}

export function OpenInvoices({ invoices, loading }: { invoices: readonly Invoice[]; loading: boolean }) {
  const { scope } = usePlace();
  return (
    <Section
      title={t("openInvoices")}
      flush
      actions={
        <Link to={pageAddress(scope, "billing", "invoices")} className="text-xs text-muted hover:text-ink hover:underline">
          {t("seeInvoices")}
        </Link>
      }
    >
      {loading && <Skeleton className="m-4 h-4 w-1/2" />}
      {!loading && invoices.length === 0 && (
        <p className="flex items-center gap-2 p-4 text-sm text-muted">
          <Icon name="ok" className="text-ok" />
          {t("nothingOpen")}
        </p>
      )}
      <ul className="divide-y divide-line">
        {invoices.slice(0, 8).map((invoice) => (
          <li key={invoice.id}>
            <Link to={pageAddress(scope, "billing", `invoices/${invoice.number ?? invoice.id}`)} className="flex items-center gap-3 px-4 py-2 hover:bg-hover">
              <span className="min-w-0 flex-1">
                <span className="clip-line block font-medium">{nameOf(invoice)}</span>
                <span className="clip-line block text-xs text-faint">
                  {t("dueAt")} {invoice.due_at ? <Day day={invoice.due_at.slice(0, 10)} /> : t("none")}
                </span>
              </span>
              <InvoiceState invoice={invoice} />
              <Money amount={invoice.due} strong />
            </Link>
          </li>
        ))}
      </ul>
    </Section>
  );
}

export function Paying({ account, provider, methods }: { account: string; provider: string | null; methods: readonly Method[] }) {
  const charged = methods.find((method) => method.default);
  return (
    <Section title={t("paymentMethod")}>
      {charged ? (
        <p className="flex items-center gap-2">
          <Icon name="card" className="text-faint" />
          <span className="font-medium">{charged.label}</span>
          {charged.expires_on && <span className="text-xs text-faint">{t("expiresOn", { day: showDay(charged.expires_on) })}</span>}
        </p>
      ) : (
        <p className="text-sm text-muted">{t(provider ? "noMethod" : "manualPayment")}</p>
      )}
      {provider && !charged && (
        <Link to={pageAddress(account, "billing", "payment")} className={`${buttonClass("normal", true)} mt-2`}>
          {t("noMethodAdd")}
        </Link>
      )}
    </Section>
  );
}
