/** An invoice's lines by platform and tenant; each opens into what is behind it. */
import { Link, live, pageAddress, tell, usePages, usePlace } from "@ironworks/sdk";
import { Button, Callout, Empty, Icon, Loading, formatNumber } from "@ironworks/ui";

import { lineWords } from "./line-words.ts";
import { nanoOf, showExact, showPrice, sum, toDecimal } from "./money.ts";
import { Money } from "./parts.tsx";
import type { Invoice, InvoiceLine } from "./types.ts";
import { t } from "./words.ts";

/** The platform to which a scope belongs; an account's own lines stand under its name. */
export const platformOf = (scope: string): string => scope.split(".").slice(0, 2).join(".");

/** Lines by platform, of each tenant in the order of their words, as on paper. */
export function sectionsOf(lines: readonly InvoiceLine[]): [string, InvoiceLine[]][] {
  const sections = new Map<string, InvoiceLine[]>();
  const sorted = [...lines].sort((a, b) => a.scope.localeCompare(b.scope) || lineWords(a).localeCompare(lineWords(b)));
  for (const line of sorted) {
    const platform = platformOf(line.scope);
    sections.set(platform, [...(sections.get(platform) ?? []), line]);
  }
  return [...sections];
}

export function priceWords(line: InvoiceLine): string {
  if (line.unit_price === null) return "";
  const { amount, million } = showPrice(line.unit_price, line.amount.currency);
  return million ? t("million", { price: amount }) : amount;
}

export function InvoiceLines({ invoice }: { invoice: Invoice }) {
  const { scope } = usePlace();
  const list = usePages<InvoiceLine>(`/api/v1/invoices/${encodeURIComponent(invoice.id)}/lines`, {}, { limit: 200, ...live(invoice.account, "invoices") });
  if (list.error) return <Callout tone="bad">{tell(list.error)}</Callout>;
  if (list.loading) return <Loading />;
  if (list.items.length === 0) {
    return (
      <div className="panel">
        <Empty icon="receipt" title={t("noLines")}>
          {invoice.state === "draft" && t("noLinesDraft")}
        </Empty>
      </div>
    );
  }
  const address = (line: InvoiceLine) => pageAddress(scope, "billing", `invoices/${invoice.number ?? invoice.id}/lines/${line.id}`);
  return (
    <div className="panel min-w-0 overflow-hidden">
      <table className="w-full table-fixed text-sm">
        <caption className="sr-only">{t("lines")}</caption>
        <thead>
          <tr className="border-b border-line text-left text-xs text-muted">
            <th className="px-4 py-2 font-medium">{t("what")}</th>
            <th className="w-28 px-2 py-2 text-right font-medium max-sm:hidden">{t("quantity")}</th>
            <th className="w-36 px-2 py-2 text-right font-medium max-md:hidden">{t("unitPrice")}</th>
            <th className="w-32 px-4 py-2 text-right font-medium">{t("amount")}</th>
          </tr>
        </thead>
        {sectionsOf(list.items).map(([platform, lines]) => (
          <tbody key={platform}>
            <tr className="border-b border-line bg-raised">
              <th scope="rowgroup" colSpan={1} className="clip-line px-4 py-1.5 text-left font-semibold">
                {platform}
              </th>
              <td className="max-sm:hidden" />
              <td className="max-md:hidden" />
              <td className="nums px-4 py-1.5 text-right font-semibold">
                {!list.more && showExact({ amount: toDecimal(sum(lines.map((line) => nanoOf(line.amount)))), currency: invoice.total.currency })}
              </td>
            </tr>
            {lines.map((line) => (
              <tr key={line.id} className="border-b border-line last:border-b-0 hover:bg-hover">
                <td className="px-4 py-1.5">
                  <Link to={address(line)} className="group flex items-center gap-2">
                    <span className="min-w-0 flex-1">
                      <span className="block break-words group-hover:text-accent">{lineWords(line)}</span>
                      <span className="clip-line block text-xs text-faint">{line.scope}</span>
                    </span>
                    <Icon name="right" size={13} className="text-faint" />
                  </Link>
                </td>
                <td className="nums px-2 py-1.5 text-right max-sm:hidden">{line.quantity !== null && formatNumber(Number(line.quantity))}</td>
                <td className="nums px-2 py-1.5 text-right text-xs text-muted max-md:hidden">{priceWords(line)}</td>
                <td className="px-4 py-1.5 text-right">
                  <Money exact amount={line.amount} />
                </td>
              </tr>
            ))}
          </tbody>
        ))}
      </table>
      {list.more && (
        <div className="p-3 text-center">
          <Button onClick={list.loadMore}>{t("more")}</Button>
        </div>
      )}
    </div>
  );
}
