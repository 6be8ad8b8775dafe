/** What a budget does, in words, and of what it tells. */
import { usePlace, Link, pageAddress } from "@ironworks/sdk";
import { Badge, Facts, Icon, Section, Time } from "@ironworks/ui";

import { exactMoney, money, subjectOf, subjectPath } from "./types.ts";
import type { Budget, BurnDown, Subject } from "./types.ts";
import { t } from "./words.ts";

const COUNTS = { key: "countsKey", route: "countsRoute", endpoint: "countsEndpoint" } as const satisfies Record<Subject, string>;

export function Rules({ budget }: { budget: Budget }) {
  const { scope } = usePlace();
  const { spec, status, metadata } = budget;
  const subject = subjectOf(spec);
  const path = subjectPath(budget);
  const unreserved = status.unreserved ?? "0";
  const told = [
    t(spec.mode === "hard" ? "ruleHard" : "ruleSoft"),
    ...(spec.mode === "hard" ? [t(spec.on_failure === "closed" ? "ruleClosed" : "ruleOpen")] : []),
    spec.period === "total" ? t("ruleTotal") : t("rulePeriod", { period: spec.period }),
    ...(Number(unreserved) > 0 && spec.mode === "hard" ? [t("unreserved", { amount: money(unreserved, spec.currency) })] : []),
  ];
  return (
    <Section title={t("rules")}>
      <div className="flex flex-col gap-3">
        <Facts
          items={[
            {
              label: t("counts"),
              value:
                subject && path ? (
                  subject.kind === "key" ? (
                    <Link to={pageAddress(scope, "keys", "", { q: path.slice(path.lastIndexOf("/") + 1) })} className="hover:text-accent hover:underline">
                      {`${t(COUNTS[subject.kind]).toLowerCase()}: ${path}`}
                    </Link>
                  ) : (
                    `${t(COUNTS[subject.kind]).toLowerCase()}: ${path}`
                  )
                ) : (
                  t("allOf", { scope: metadata.scope })
                ),
            },
            ...(status.period_end ? [{ label: t("until"), value: <Time at={status.period_end} exact /> }] : []),
          ]}
        />
        <ul className="flex flex-col gap-1.5 text-xs text-muted">
          {told.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      </div>
    </Section>
  );
}

export const Thresholds = ({ found }: { found: BurnDown }) => (
  <Section title={t("thresholds")} hint={t("thresholdsHint")} flush={found.thresholds.length > 0}>
    {found.thresholds.length === 0 ? (
      <p className="text-sm text-muted">{t("noThresholds")}</p>
    ) : (
      <ul className="divide-y divide-line">
        {found.thresholds.map(({ percent, amount, told_at }) => (
          <li key={percent} className="flex items-center gap-3 px-4 py-2 text-sm">
            <Icon name={told_at ? "bell" : "circle"} size={13} className={told_at ? "text-warn" : "text-faint"} />
            <span className="nums flex-1">{t("percentOf", { percent, amount: exactMoney(amount, found.currency) })}</span>
            {told_at ? (
              <span className="flex items-center gap-2 text-xs text-muted">
                <Badge tone="warn">{t("told")}</Badge>
                <Time at={told_at} />
              </span>
            ) : (
              <span className="text-xs text-faint">{t("notTold")}</span>
            )}
          </li>
        ))}
      </ul>
    )}
  </Section>
);
