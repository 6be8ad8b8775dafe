/** What a list of requests is narrowed by. The API filters, so that a match far back is found too. */
import { useQueryString } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";
import { Button, Combobox, FilterInput, Select } from "@ironworks/ui";
import { useMemo } from "react";

import type { Usage } from "./usage.ts";
import { t } from "./words.ts";

export const FILTERS = ["status", "key", "model", "route", "endpoint", "user"] as const;
const TEXTS = ["model", "route", "endpoint", "user"] as const;
type TextFilter = (typeof TEXTS)[number];
const STATUSES = [["2xx", "ok"], ["4xx", "client"], ["429", "limited"], ["499", "left"], ["5xx", "server"]] as const;

export function FilterBar({ requests, keys }: { requests: readonly Usage[]; keys: ReadonlyMap<string, Resource> }) {
  const [params, set] = useQueryString();
  const filtered = FILTERS.some((name) => params.get(name));
  const status = params.get("status") ?? "";
  const options = useMemo(
    () => [{ value: "", label: t("anyKey") }, ...[...keys.values()].map(({ metadata }) => ({ value: metadata.uid, label: metadata.name, hint: metadata.scope }))],
    [keys],
  );
  return (
    <div role="group" aria-label={t("filters")} className="grid grid-cols-2 items-center gap-2 sm:grid-cols-3 lg:flex lg:flex-wrap">
      <Select aria-label={t("status")} value={status} onChange={(event) => set({ status: event.target.value })} className="lg:w-44">
        <option value="">{t("anyStatus")}</option>
        {STATUSES.map(([value, word]) => (
          <option key={value} value={value}>
            {t(word)}
          </option>
        ))}
        {status && !STATUSES.some(([value]) => value === status) && <option value={status}>{status}</option>}
      </Select>
      {keys.size > 0 && (
        <div className="min-w-0 lg:w-44">
          <Combobox label={t("key")} value={params.get("key") ?? ""} options={options} onChange={(key) => set({ key })} />
        </div>
      )}
      {TEXTS.map((name) => (
        <FilterInput key={name} label={t(name)} value={params.get(name) ?? ""} seen={seenIn(requests, name)} onChange={(value) => set({ [name]: value })} />
      ))}
      {filtered && (
        <Button look="quiet" icon="close" onClick={() => set(Object.fromEntries(FILTERS.map((name) => [name, undefined])))}>
          {t("clear")}
        </Button>
      )}
    </div>
  );
}

const MOST_SEEN = 50;

function seenIn(requests: readonly Usage[], name: TextFilter): string[] {
  const seen = new Set<string>();
  for (const usage of requests) {
    const value = usage[name];
    if (value) seen.add(value);
    if (seen.size === MOST_SEEN) break;
  }
  return [...seen].sort();
}
