/** What a request used, what that cost, and how the cost came to the ledger and onto an invoice. */
import { Link, pageAddress, usePlace } from "@ironworks/sdk";
import { Icon, Section, Skeleton, Time, formatMoney, formatNumber, parseMoney, words } from "@ironworks/ui";
import type { IconName } from "@ironworks/ui";
import type { ReactNode } from "react";

import type { Explained, OnInvoice, Usage } from "./usage.ts";
import { t } from "./words.ts";

/** Of a token nobody knows the price; of a million everybody does. */
export function priceOf(meter: string, unit: string, currency: string): string {
  if (!meter.endsWith("_tokens") && !meter.endsWith("_characters")) return t("perOne", { price: formatMoney(parseMoney(unit), currency) });
  const [whole = "0", fraction = ""] = unit.split(".");
  const moved = `${whole}${fraction.padEnd(6, "0").slice(0, 6)}.${fraction.slice(6)}`;
  return t("perMillion", { price: formatMoney(parseMoney(moved.replace(/^0+(?=\d)/, "")), currency) });
}

interface CostsProps {
  usage: Usage;
  explained: Explained | undefined;
  pending: boolean;
}

export function Costs({ usage, explained, pending }: CostsProps) {
  const used = Object.entries(usage.quantities).filter(([, quantity]) => quantity > 0);
  const lines = new Map(explained?.lines.map((line) => [line.meter, line]));
  const waiting = new Map(explained?.unrated.map((line) => [line.meter, line.reason]));
  const total = explained?.total.filter((money) => money.nano !== 0) ?? [];
  if (used.length === 0) {
    return (
      <Section title={t("tokens")}>
        <p className="text-sm text-muted">{t("unused")}</p>
      </Section>
    );
  }
  return (
    <Section title={t("tokens")} flush>
      <div className="thin-scroll overflow-x-auto">
        <table className="w-full text-sm">
          <thead>
            <tr className="border-b border-line text-left text-xs text-muted [&>th]:px-2 [&>th]:py-1.5 [&>th:first-child]:pl-4 [&>th:last-child]:pr-4 [&>th]:font-medium">
              <th>{t("meter")}</th>
              <th className="text-right">{t("quantity")}</th>
              <th className="text-right max-sm:hidden">{t("price")}</th>
              <th className="text-right">{t("amount")}</th>
            </tr>
          </thead>
          <tbody className="nums divide-y divide-line [&>tr>td]:px-2 [&>tr>td]:py-1.5 [&>tr>td:first-child]:pl-4 [&>tr>td:last-child]:pr-4">
            {used.map(([meter, quantity]) => {
              const line = lines.get(meter);
              const price = line ? priceOf(meter, line.unit_price, line.cost.currency) : (waitingFor(waiting.get(meter)) ?? "–");
              return (
                <tr key={meter}>
                  <td>
                    {words(meter)}
                    <span className="block text-2xs text-faint sm:hidden">{price}</span>
                  </td>
                  <td className="text-right">{formatNumber(quantity)}</td>
                  <td className="text-right whitespace-nowrap text-muted max-sm:hidden">{price}</td>
                  <td className="text-right whitespace-nowrap">{line ? formatMoney(line.cost.nano, line.cost.currency) : "–"}</td>
                </tr>
              );
            })}
            {total.map((money) => (
              <tr key={money.currency} className="font-semibold">
                <td colSpan={2}>{t("total")}</td>
                <td className="max-sm:hidden" />
                <td className="text-right whitespace-nowrap">{formatMoney(money.nano, money.currency)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Note>
        {pending && <Skeleton className="h-4 w-40" />}
        {!pending && !explained && t("noMoney")}
        {explained && total.length === 0 && explained.unrated.length === 0 && t("free")}
        {usage.counted && ` ${t("counted")}`}
      </Note>
    </Section>
  );
}

const waitingFor = (reason: string | undefined): string | null =>
  reason === undefined ? null : reason === "no_price" ? t("unratedNo_price") : t("unrated", { reason: words(reason).toLowerCase() });

function Note({ children }: { children: ReactNode[] }) {
  return children.some(Boolean) ? <p className="border-t border-line px-4 py-2 text-xs text-faint">{children}</p> : null;
}

/** `lines` are null for who may not see invoices. */
export function Chain({ explained, lines }: { explained: Explained; lines: readonly OnInvoice[] | null }) {
  const { scope } = usePlace();
  const { usage, transfers } = explained;
  const versions = [...new Set(explained.lines.map((line) => line.price_id))];
  const moved = (id: string) => explained.lines.filter((line) => line.transfer_id === id).reduce((sum, line) => sum + BigInt(line.cost.nano), 0n);
  const onInvoice = [...new Map((lines ?? []).map((one) => [one.line.id, one])).values()];
  return (
    <Section title={t("chain")} flush>
      <ol className="py-1">
        <Step icon="gauge" title={t("chainUsage")} hint={t("chainUsageHint")} end={<Time at={usage.recorded_at} />} />
        {explained.lines.length > 0 && (
          <Step icon="sliders" title={t("chainLines", { count: explained.lines.length })} hint={t("chainLinesHint")} end={<Time at={usage.priced_at} />}>
            {versions.map((id) => (
              <span key={id} className="block font-mono text-2xs text-faint">
                {t("version", { id })}
              </span>
            ))}
          </Step>
        )}
        {explained.lines.length === 0 && <Step icon="book" title={t("chainNoTransfer")} hint={t("unused")} />}
        {explained.lines.length > 0 && transfers.length === 0 && <Step icon="book" title={t("chainNoTransfer")} hint={t("free")} />}
        {transfers.map((transfer) => (
          <Step
            key={transfer.id}
            icon="book"
            to={pageAddress(scope, "billing", `ledger/${transfer.id}`)}
            title={t("chainTransfer", { amount: formatMoney(moved(transfer.id), transfer.moved.currency) })}
            hint={t("chainTransferHint", { debit: side(transfer.debit), credit: side(transfer.credit) })}
            end={<Time at={transfer.posted_at} />}
          />
        ))}
        {lines !== null && transfers.length > 0 && onInvoice.length === 0 && <Step icon="receipt" title={t("chainOpen")} hint={t("chainOpenHint")} open />}
        {onInvoice.map(({ invoice_number: number, line }) => (
          <Step
            key={line.id}
            icon="receipt"
            to={pageAddress(scope, "billing", number ? `invoices/${number}/lines/${line.id}` : "invoices")}
            title={number ? t("chainInvoice", { number }) : t("chainDraft")}
            hint={t("chainInvoiceHint", { description: line.description })}
          />
        ))}
      </ol>
    </Section>
  );
}

const side = ({ scope, purpose }: { scope: string; purpose: string }): string => t("side", { purpose: words(purpose).toLowerCase(), scope: scope === "-" ? t("operator") : scope });

interface LinkProps {
  icon: IconName;
  title: string;
  hint: ReactNode;
  to?: string;
  end?: ReactNode;
  /** Still to come. */
  open?: boolean;
  children?: ReactNode;
}

/** One link of the chain. */
function Step({ icon, title, hint, to, end, open, children }: LinkProps) {
  return (
    <li className="relative flex gap-3 px-4 py-2 not-last:after:absolute not-last:after:top-9 not-last:after:bottom-[-0.25rem] not-last:after:left-[1.9rem] not-last:after:w-px not-last:after:bg-line">
      <span className={`inline-flex size-7 shrink-0 items-center justify-center rounded-full border ${open ? "border-dashed border-edge text-faint" : "border-line bg-raised text-muted"}`}>
        <Icon name={icon} size={13} />
      </span>
      <span className="min-w-0 flex-1">
        {to ? (
          <Link to={to} className="text-sm font-medium hover:text-accent hover:underline">
            {title}
          </Link>
        ) : (
          <span className="text-sm font-medium">{title}</span>
        )}
        <span className="block text-xs break-words text-muted">{hint}</span>
        {children}
      </span>
      {end && <span className="text-xs text-faint">{end}</span>}
    </li>
  );
}
