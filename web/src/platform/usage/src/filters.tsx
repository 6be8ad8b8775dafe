/** What usage is looked at: which model, key, name and endpoint, and from when to when. */
import { useQueryString } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";
import { Button, Choice, Combobox, FilterInput, Input } from "@ironworks/ui";
import { useMemo } from "react";

import type { Report } from "./figures.ts";
import { SPANS, localInput } from "./period.ts";
import type { Period } from "./period.ts";
import { t } from "./words.ts";

export const FILTERS = ["model", "key", "route", "endpoint"] as const;
const TEXTS = ["model", "route", "endpoint"] as const;
const RANGES = [...(Object.keys(SPANS) as (keyof typeof SPANS)[]), "custom"] as const;

export function TimeChoice({ period }: { period: Period }) {
  const [, set] = useQueryString();
  const choose = (range: Period["span"]) =>
    set(range === "custom" ? { range, from: period.since, to: period.until ?? new Date().toISOString() } : { range, from: undefined, to: undefined });
  return <Choice label={t("range")} value={period.span} onChange={choose} options={RANGES.map((value) => ({ value, label: t(value) }))} />;
}

interface FilterBarProps {
  period: Period;
  report: Report | undefined;
  keys: ReadonlyMap<string, Resource>;
}

export function FilterBar({ period, report, keys }: FilterBarProps) {
  const [params, set] = useQueryString();
  const options = useMemo(
    () => [{ value: "", label: t("anyKey") }, ...[...keys.values()].map(({ metadata }) => ({ value: metadata.uid, label: metadata.name, hint: metadata.scope }))],
    [keys],
  );
  const seen = (name: string) => (report?.by === name ? report.items.map((item) => item.group).filter(Boolean) : []);
  return (
    <div role="group" aria-label={t("filters")} className="grid grid-cols-2 items-center gap-2 sm:grid-cols-3 lg:flex lg:flex-wrap">
      {period.span === "custom" && <Moments period={period} />}
      {keys.size > 0 && (
        <div className="min-w-0 lg:w-40">
          <Combobox label={t("key")} value={params.get("key") ?? ""} options={options} onChange={(key) => set({ key })} />
        </div>
      )}
      {TEXTS.map((name) => (
        <FilterInput key={name} label={t(name)} value={params.get(name) ?? ""} seen={seen(name)} onChange={(value) => set({ [name]: value })} />
      ))}
      {FILTERS.some((name) => params.get(name)) && (
        <Button look="quiet" icon="close" onClick={() => set(Object.fromEntries(FILTERS.map((name) => [name, undefined])))}>
          {t("clear")}
        </Button>
      )}
    </div>
  );
}

/** Two moments in the browser's zone; one that is emptied or in the wrong order changes nothing. */
function Moments({ period }: { period: Period }) {
  const [, set] = useQueryString();
  const until = period.until ?? new Date().toISOString();
  const change = (from: string, to: string) => {
    if (Date.parse(from) < Date.parse(to)) set({ from: new Date(from).toISOString(), to: new Date(to).toISOString() });
  };
  return (
    <>
      <Input
        type="datetime-local" aria-label={t("from")} className="lg:w-46" value={localInput(period.since)} max={localInput(until)}
        onChange={(event) => change(event.target.value, until)}
      />
      <Input
        type="datetime-local" aria-label={t("to")} className="lg:w-46" value={localInput(until)} min={localInput(period.since)}
        onChange={(event) => change(period.since, event.target.value)}
      />
    </>
  );
}
