/** What the trail is filtered by; each word of it is in the page's address. */
import { useBootstrap } from "@ironworks/sdk";
import { Button, Input, Select } from "@ironworks/ui";
import { useEffect, useId, useMemo, useRef, useState } from "react";

import type { AuditRecord } from "./records.ts";
import { t } from "./words.ts";

/** As the API calls them. */
export const FILTERS = ["actor", "action", "target_type", "target", "result", "correlation_id"] as const;
type Filter = (typeof FILTERS)[number];
const RESULTS = ["ok", "denied", "failed"] as const;
const TYPING_MS = 450;

interface FilterBarProps {
  filters: Partial<Record<Filter, string | undefined>>;
  records: readonly AuditRecord[];
  onFilter: (change: Partial<Record<Filter, string | undefined>>) => void;
  onClear: () => void;
}

export function FilterBar({ filters, records, onFilter, onClear }: FilterBarProps) {
  const { kinds } = useBootstrap();
  const types = useMemo(
    () => [...new Set([...kinds.map((kind) => kind.name), ...records.map((record) => record.target_type)])].filter(Boolean).sort(),
    [kinds, records],
  );
  const seen = (value: (record: AuditRecord) => string) => [...new Set(records.map(value))].filter(Boolean).sort().slice(0, 100);
  const filtered = FILTERS.some((name) => filters[name]);
  return (
    <div role="search" aria-label={t("filters")} className="grid grid-cols-2 gap-2 md:grid-cols-3 xl:grid-cols-[repeat(6,minmax(0,1fr))_auto]">
      <Words label={t("actor")} hint={t("actorHint")} value={filters.actor} known={seen((record) => record.actor)} onValue={(actor) => onFilter({ actor })} />
      <Words label={t("action")} hint={t("actionHint")} value={filters.action} known={seen((record) => record.action)} onValue={(action) => onFilter({ action })} />
      <Select aria-label={t("kind")} value={filters.target_type ?? ""} onChange={(event) => onFilter({ target_type: event.target.value || undefined })}>
        <option value="">{t("anyKind")}</option>
        {types.map((type) => (
          <option key={type}>{type}</option>
        ))}
      </Select>
      <Words label={t("target")} hint={t("targetHint")} value={filters.target} known={seen((record) => record.target_id)} onValue={(target) => onFilter({ target })} />
      <Select aria-label={t("result")} value={filters.result ?? ""} onChange={(event) => onFilter({ result: event.target.value || undefined })}>
        <option value="">{t("anyResult")}</option>
        {RESULTS.map((result) => (
          <option key={result} value={result}>
            {t(result)}
          </option>
        ))}
      </Select>
      <Words label={t("request")} hint={t("requestHint")} value={filters.correlation_id} known={[]} onValue={(correlation_id) => onFilter({ correlation_id })} />
      <Button onClick={onClear} disabled={!filtered} look="quiet">
        {t("clear")}
      </Button>
    </div>
  );
}

interface WordsProps {
  label: string;
  hint: string;
  value: string | undefined;
  known: readonly string[];
  onValue: (value: string | undefined) => void;
}

/** A word that is asked for once typing has paused; what was seen already is offered. */
function Words({ label, hint, value, known, onValue }: WordsProps) {
  const id = useId();
  const [typed, setTyped] = useState(value ?? "");
  const asked = useRef(value ?? "");
  useEffect(() => {
    if ((value ?? "") === asked.current) return;
    asked.current = value ?? "";
    setTyped(value ?? ""); // the address changed by itself: back, a link, the button that clears
  }, [value]);
  useEffect(() => {
    const wanted = typed.trim();
    if (wanted === asked.current) return undefined;
    const timer = setTimeout(() => {
      asked.current = wanted;
      onValue(wanted || undefined);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, onValue]);
  return (
    <span>
      <Input
        aria-label={label}
        placeholder={`${label}: ${hint}`}
        list={`${id}-known`}
        spellCheck={false}
        autoComplete="off"
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
      <datalist id={`${id}-known`}>
        {known.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </span>
  );
}
