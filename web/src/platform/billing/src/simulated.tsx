/** What the last weeks would have cost with another price or other terms: asked for when a person has stopped typing. */
import { api, keepPreviousData, tell, unwrap, useQuery } from "@ironworks/sdk";
import type { components } from "@ironworks/sdk";
import { Callout, Section, Skeleton, parseMoney } from "@ironworks/ui";
import { useEffect, useState } from "react";

import { addDays, today } from "./days.ts";
import { Nano } from "./parts.tsx";
import type { Simulation } from "./types.ts";
import { t } from "./words.ts";

type Book = Pick<components["schemas"]["SimulationBody"], "prices" | "terms">;

const DAYS = 30;
const SETTLED_MS = 500;

interface SimulatedProps {
  /** Whose usage: a scope, or the operator's for all. */
  at: string;
  currency: string;
  /** Null while there is nothing to compare. */
  book: Book | null;
}

export function Simulated({ at, currency, book }: SimulatedProps) {
  const asked = useSettled(book === null ? "" : JSON.stringify({ at, currency, book }));
  const found = useQuery({
    queryKey: ["billing-simulation", asked],
    enabled: asked !== "",
    placeholderData: keepPreviousData,
    staleTime: 60_000,
    retry: false,
    queryFn: () => {
      const question = JSON.parse(asked) as { at: string; currency: string; book: Book };
      const to = addDays(today(), 1);
      const body = { from: addDays(to, -DAYS), to, currency: question.currency, group_by: "account" as const, limit: 6, ...question.book };
      return unwrap(api.POST("/api/v1/scopes/{path}/prices:simulate", { params: { path: { path: question.at } }, body }));
    },
  });
  return (
    <Section title={t("simulation", { days: DAYS })} hint={t("simulationHint")}>
      {book === null || asked === "" ? (
        <p className="text-sm text-muted">{t("simulationWaits")}</p>
      ) : found.error ? (
        <Callout tone="bad">
          <span className="whitespace-pre-wrap">{tell(found.error)}</span>
        </Callout>
      ) : found.data ? (
        <Shown simulation={found.data} />
      ) : (
        <Skeleton className="h-24 w-full" />
      )}
    </Section>
  );
}

function useSettled(value: string): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

type Group = Simulation["total"];

/** At base price with what terms make of it. */
const before = (group: Group): bigint => parseMoney(group.was.amount) + parseMoney(group.adjusted_was.amount);
const after = (group: Group): bigint => parseMoney(group.would_be.amount) + parseMoney(group.adjusted_would_be.amount);

function Shown({ simulation }: { simulation: Simulation }) {
  const { total, groups, currency, waiting, would_wait } = simulation;
  if (total.quantity === 0 && waiting === 0) return <p className="text-sm text-muted">{t("noUsage")}</p>;
  return (
    <div className="flex flex-col gap-3">
      <table className="w-full text-sm">
        <thead className="text-xs text-faint">
          <tr className="border-b border-line">
            <th scope="col" className="py-1 text-left font-normal">{t("account")}</th>
            <th scope="col" className="py-1 pl-3 text-right font-normal">{t("was")}</th>
            <th scope="col" className="py-1 pl-3 text-right font-normal">{t("wouldBe")}</th>
            <th scope="col" className="py-1 pl-3 text-right font-normal">{t("difference")}</th>
          </tr>
        </thead>
        <tbody>
          {[total, ...groups.filter((group) => group.difference.nano !== 0)].map((group) => (
            <tr key={group === total ? "" : group.name} className="border-b border-line last:border-b-0">
              <th scope="row" className={`py-1.5 text-left break-all ${group === total ? "font-semibold" : "font-normal text-muted"}`}>{group === total ? t("total") : group.name}</th>
              <td className="py-1.5 pl-3 text-right"><Nano nano={before(group)} currency={currency} /></td>
              <td className="py-1.5 pl-3 text-right"><Nano nano={after(group)} currency={currency} strong={group === total} /></td>
              <td className="py-1.5 pl-3 text-right"><Difference nano={parseMoney(group.difference.amount)} currency={currency} /></td>
            </tr>
          ))}
        </tbody>
      </table>
      {waiting + would_wait > 0 && <p className="text-xs text-faint">{t("waitsNow", { count: waiting, then: would_wait })}</p>}
    </div>
  );
}

const Difference = ({ nano, currency }: { nano: bigint; currency: string }) => (
  <span className={nano > 0n ? "text-warn" : undefined}>
    {nano > 0n && "+"}
    <Nano nano={nano} currency={currency} />
  </span>
);
