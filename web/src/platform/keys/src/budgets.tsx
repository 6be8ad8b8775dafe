/** Budgets that count this key alone. */
import { Link, pageAddress, splitReference, useCan, useFeature, usePlace, useResources } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";
import { Phase, Section, buttonClass, formatMoney, parseMoney } from "@ironworks/ui";

import type { Key } from "./types.ts";
import { t } from "./words.ts";

type Budget = Resource<{ amount: string; currency: string; period: string; key: string | null }, { spent?: string }>;

export function Budgets({ item }: { item: Key }) {
  const { scope } = usePlace();
  const can = useCan();
  const { name, scope: at } = item.metadata;
  const there = useFeature("budgets");
  const { items } = useResources<Budget>("budgets", at, { inherited: true });
  const own = items.filter(({ spec, metadata }) => {
    const named = spec.key ? splitReference(spec.key, metadata.scope) : null;
    return named?.scope === at && named.name === name;
  });
  return (
    <Section
      title={t("budgets")}
      flush={own.length > 0}
      actions={
        there &&
        can("budget:create", at) && (
          <Link to={pageAddress(at, "budgets", "new", { key: `${at}/${name}` })} className={buttonClass("normal", true)}>
            {t("giveBudget")}
          </Link>
        )
      }
    >
      {own.length === 0 ? (
        <p className="text-sm text-faint">{t("noBudgets")}</p>
      ) : (
        <ul className="divide-y divide-line">
          {own.map((budget) => (
            <li key={budget.metadata.uid} className="flex flex-wrap items-center gap-3 px-4 py-2 text-sm">
              <Link to={pageAddress(scope, "budgets", `${budget.metadata.scope}/${budget.metadata.name}`)} className="min-w-0 flex-1 font-medium hover:underline">
                {budget.metadata.name}
              </Link>
              <span className="nums">{told(budget)}</span>
              <Phase phase={budget.status.phase} />
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function told({ spec, status }: Budget): string {
  const money = (amount: string) => formatMoney(parseMoney(amount), spec.currency);
  return t(spec.period === "total" ? "spentOfAll" : "spentOf", { spent: money(status.spent ?? "0"), amount: money(spec.amount), period: spec.period });
}
