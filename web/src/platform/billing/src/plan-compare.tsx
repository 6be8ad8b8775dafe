/** Plans side by side. */
import { Link } from "@ironworks/sdk";
import { Badge, Button, buttonClass, formatCompact, words } from "@ironworks/ui";
import type { ReactNode } from "react";

import { showDay } from "./days.ts";
import { costOf, nanoOf, showAmount } from "./money.ts";
import { Nano } from "./parts.tsx";
import type { Plan } from "./types.ts";
import { t } from "./words.ts";

interface ComparisonProps {
  plans: readonly Plan[];
  present: Plan | null;
  next: Plan | null;
  changesOn: string | null;
  onChoose?: (plan: Plan) => void;
  /** The page of a plan, for who makes them. */
  hrefOf?: (plan: Plan) => string;
}

/** Every key that any of the plans has. */
export const keysOf = (plans: readonly Plan[], of: (plan: Plan) => object): string[] => [...new Set(plans.flatMap((plan) => Object.keys(of(plan))))].sort();

/** From the largest on, as one makes them: platforms hold tenants. */
const LIMITS = ["platforms", "tenants", "features"];
const limitsOf = (plans: readonly Plan[]): string[] => {
  const keys = keysOf(plans, (plan) => plan.limits);
  return [...LIMITS.filter((name) => keys.includes(name)), ...keys.filter((name) => !LIMITS.includes(name))];
};

export function Comparison({ plans, present, next, changesOn, onChoose, hrefOf }: ComparisonProps) {
  const rows: { label: string; hint?: string; cell: (plan: Plan) => ReactNode }[] = [
    {
      label: t("feeRow"),
      cell: (plan) => (
        <span className="text-base font-semibold">
          {nanoOf(plan.base_fee) === 0n ? t("free") : showAmount(plan.base_fee)} <span className="text-xs font-normal text-faint">{t("perMonth")}</span>
        </span>
      ),
    },
    { label: t("trialRow"), cell: (plan) => (plan.trial_days > 0 ? t("trialDays", { count: plan.trial_days }) : t("notIncluded")) },
    ...limitsOf(plans).map((quota) => ({
      label: t("limitRow", { quota: words(quota) }),
      cell: (plan: Plan) => plan.limits[quota] ?? <span className="text-muted">{t("unlimited")}</span>,
    })),
    ...keysOf(plans, (plan) => plan.included).map((meter) => ({
      label: t("includedRow", { meter: words(meter) }),
      hint: t(plans.some((plan) => plan.overage[meter] !== undefined) ? "beyondRow" : "beyondBook"),
      cell: (plan: Plan) => <Included plan={plan} meter={meter} />,
    })),
  ];
  return (
    <div className="thin-scroll overflow-x-auto" tabIndex={0} role="region" aria-label={t("plans")}>
      <table className="w-full min-w-[36rem] text-sm">
        <caption className="sr-only">{t("plans")}</caption>
        <thead>
          <tr className="border-b border-line">
            <td className="sticky left-0 w-36 bg-panel sm:w-64" />
            {plans.map((plan) => (
              <th key={plan.id} scope="col" className={`px-4 py-3 text-left align-top ${present?.name === plan.name ? "bg-accent-soft" : ""}`}>
                <span className="flex flex-wrap items-center gap-2 text-base font-semibold">
                  {plan.title}
                  {present?.name === plan.name && <Badge tone="ok">{t("present")}</Badge>}
                  {next?.name === plan.name && changesOn && <Badge tone="info">{t("nextOne", { day: showDay(changesOn) })}</Badge>}
                </span>
                {hrefOf && (
                  <Link to={hrefOf(plan)} aria-label={t("manage", { plan: plan.title })} className={`${buttonClass("normal", true)} mt-1.5`}>
                    {t("versions")}
                  </Link>
                )}
                {onChoose && (present?.name !== plan.name || next !== null) && next?.name !== plan.name && (
                  <Button small look={present === null ? "primary" : "normal"} className="mt-1.5" aria-label={t("chooseTitle", { plan: plan.title })} onClick={() => onChoose(plan)}>
                    {t("choose")}
                  </Button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.label} className="border-b border-line last:border-b-0">
              <th scope="row" className="sticky left-0 bg-panel px-4 py-2 text-left align-top font-normal text-muted">
                {row.label}
                {row.hint && <span className="block text-xs text-faint">{row.hint}</span>}
              </th>
              {plans.map((plan) => (
                <td key={plan.id} className={`nums px-4 py-2 align-top ${present?.name === plan.name ? "bg-accent-soft" : ""}`}>
                  {row.cell(plan)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Included({ plan, meter }: { plan: Plan; meter: string }) {
  const count = plan.included[meter];
  if (count === undefined) return <span className="text-faint">{t("notIncluded")}</span>;
  const price = plan.overage[meter];
  return (
    <>
      {formatCompact(count)}
      {price !== undefined && (
        <span className="block text-xs">
          <Nano nano={costOf(1_000_000, price)} currency={plan.base_fee.currency} />
        </span>
      )}
    </>
  );
}
