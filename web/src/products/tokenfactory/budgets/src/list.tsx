/** Budgets at a scope and below, and how each stands; live, for their status comes by the stream of changes. */
import { Link, pageAddress, resourceKey, useCan, usePlace, useResources, useTable } from "@ironworks/sdk";
import { DataTable, Empty, Page, Time, buttonClass } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";

import { SpentBar, StandingBadge, standingWord } from "./bar.tsx";
import { PLURAL, budgetAddress, exactMoney, inUnits, leftOf, money, shareOf, subjectOf } from "./types.ts";
import type { Budget } from "./types.ts";
import { t } from "./words.ts";

const percent = (share: number): string => `${Math.round(share * 100)} %`;

export const countsOf = (budget: Budget): string => {
  const subject = subjectOf(budget.spec);
  return subject ? t(subject.kind, { name: subject.reference }) : t("everything");
};

const COLUMNS: Column<Budget>[] = [
  { id: "name", label: t("name"), value: (row) => row.metadata.name, width: "minmax(9rem, 1.2fr)" },
  {
    id: "state", label: t("state"), width: "8.5rem", value: standingWord, cell: (row) => <StandingBadge budget={row} />,
    options: [t("stateFine"), t("stateNear"), t("stateOver"), t("stateSpent"), t("stateFrozen")],
  },
  {
    id: "spent", label: t("spent"), width: "minmax(9rem, 1.2fr)", value: (row) => shareOf(row.status.spent ?? "0", row.spec.amount),
    cell: (row) => (
      <span className="flex items-center gap-2.5">
        <SpentBar budget={row} />
        <span className="nums w-11 shrink-0 text-right text-xs text-muted">{percent(shareOf(row.status.spent ?? "0", row.spec.amount))}</span>
      </span>
    ),
  },
  {
    id: "left", label: t("left"), align: "right", width: "7.5rem", value: (row) => inUnits(row.spec.amount) - inUnits(row.status.spent ?? "0"),
    cell: (row) => money(leftOf(row), row.spec.currency),
  },
  { id: "amount", label: t("amount"), align: "right", width: "7.5rem", value: (row) => inUnits(row.spec.amount), cell: (row) => exactMoney(row.spec.amount, row.spec.currency) },
  { id: "period", label: t("period"), width: "6.5rem", value: (row) => t(row.spec.period), options: [t("day"), t("week"), t("month"), t("total")] },
  {
    id: "forecast", label: t("forecast"), align: "right", width: "9rem", value: (row) => (row.status.projected ? inUnits(row.status.projected) : null),
    cell: (row) => <Foreseen budget={row} />,
  },
  {
    id: "until", label: t("until"), width: "6.5rem", value: (row) => (row.status.period_end ? Date.parse(row.status.period_end) : null),
    cell: (row) => (row.status.period_end ? <Time at={row.status.period_end} /> : <span className="text-faint">{t("never")}</span>),
  },
  { id: "counts", label: t("counts"), value: countsOf, width: "minmax(9rem, 1fr)" },
  { id: "mode", label: t("mode"), width: "6.5rem", value: (row) => t(row.spec.mode), options: [t("hard"), t("soft")] },
  { id: "scope", label: t("scope"), value: (row) => row.metadata.scope },
];

function Foreseen({ budget: { spec, status } }: { budget: Budget }) {
  if (status.runs_out_at) {
    return (
      <span className="text-warn">
        {t("runsOut").toLowerCase()} <Time at={status.runs_out_at} />
      </span>
    );
  }
  return status.projected ? money(status.projected, spec.currency) : <span className="text-faint">–</span>;
}

export default function List() {
  const { scope } = usePlace();
  const can = useCan();
  const budgets = useResources<Budget>(PLURAL, scope);
  const create = can("budget:create", scope) && (
    <Link to={pageAddress(scope, "budgets", "new")} className={buttonClass("primary")}>
      {t("create")}
    </Link>
  );
  const table = useTable(budgets, (budget) => budgetAddress(scope, budget));
  return (
    <Page fill title={t("title")} actions={create}>
      <DataTable
        label={t("title")}
        {...table}
        columns={COLUMNS}
        rowKey={resourceKey}
        empty={
          <Empty icon="money" title={t("noneTitle")} actions={create}>
            {t("noneHint")}
          </Empty>
        }
      />
    </Page>
  );
}
