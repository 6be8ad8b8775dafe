/** Single requests: a time and filters, kept in the address; newest first, as many as one scrolls to. */
import { Link, pageAddress, tokensIn, useCan, usePlace, useQueryString, useQueryWord, useTable } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";
import {
  Badge, Button, Choice, DataTable, Empty, Page, Time, buttonClass, csvOf, formatDuration, formatMoney, formatNumber, notify, saveFile,
} from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useMemo } from "react";

import { FILTERS, FilterBar } from "./filters.tsx";
import { toneOfStatus } from "./outcomes.ts";
import { RANGES, statusOf, useCosts, useKeyNames, useRequests } from "./usage.ts";
import type { Money, Range, Usage } from "./usage.ts";
import { t } from "./words.ts";

export default function List() {
  const { scope } = usePlace();
  const can = useCan();
  const [rangeWord, setRange] = useQueryWord("range", "day");
  const range = (rangeWord in RANGES ? rangeWord : "day") as Range;
  const [params] = useQueryString();
  const filters = Object.fromEntries(FILTERS.map((name) => [name, params.get(name) ?? undefined]));
  const filtered = Object.values(filters).some(Boolean);
  const requests = useRequests(scope, range, filters);
  const money = can("billing:read", scope);
  const costs = useCosts(requests.items, money);
  const keys = useKeyNames(scope, can("api-key:read", scope));
  const below = requests.items.some((usage) => usage.scope !== scope);
  const columns = useMemo(() => columnsOf(keys, money ? costs : null, below), [keys, costs, money, below]);
  const table = useTable(requests, (usage) => pageAddress(scope, "requests", usage.request_id));
  return (
    <Page
      fill
      title={t("title")}
      actions={
        <Choice label={t("range")} value={range} onChange={setRange} options={(Object.keys(RANGES) as Range[]).map((value) => ({ value, label: t(value) }))} />
      }
    >
      <FilterBar requests={requests.items} keys={keys} />
      <DataTable
        label={t("title")}
        {...table}
        columns={columns}
        rowKey={(usage) => usage.request_id}
        tools={
          <Button small icon="download" onClick={() => save(scope, requests.items, keys, costs)}>
            {t("csv")}
          </Button>
        }
        empty={filtered ? <Empty icon="filter" title={t("noneMatch")}>{t("noneMatchHint")}</Empty> : <Nothing scope={scope} />}
      />
    </Page>
  );
}

function Nothing({ scope }: { scope: string }) {
  const can = useCan();
  return (
    <Empty
      icon="activity"
      title={t("noneTitle")}
      actions={
        can("api-key:create", scope) && (
          <Link to={pageAddress(scope, "keys")} className={buttonClass("primary")}>
            {t("makeKey")}
          </Link>
        )
      }
    >
      {t("noneHint")}
    </Empty>
  );
}

type Keys = ReadonlyMap<string, Resource>;
type Costs = ReadonlyMap<string, Money | null>;

const nameOf = (keys: Keys, usage: Usage): string => (usage.key_uid ? (keys.get(usage.key_uid)?.metadata.name ?? "") : "");

/** `below`: some are of tenants further down, so that it has to be said whose each is. */
function columnsOf(keys: Keys, costs: Costs | null, below: boolean): Column<Usage>[] {
  const costOf = (usage: Usage) => costs?.get(usage.request_id) ?? null;
  const number = (id: string, label: string, value: (usage: Usage) => number | null | undefined, show: (value: number) => string, width = "6rem"): Column<Usage> => ({
    id, label, value, align: "right", width,
    cell: (usage) => {
      const found = value(usage);
      return found === null || found === undefined ? <span className="text-faint">–</span> : show(found);
    },
  });
  return [
    { id: "when", label: t("when"), width: "minmax(6.5rem, 0.8fr)", value: (usage) => Date.parse(usage.occurred_at), cell: (usage) => <Time at={usage.occurred_at} /> },
    {
      id: "status", label: t("status"), width: "5.5rem", value: statusOf,
      cell: (usage) => <Badge tone={toneOfStatus(statusOf(usage))}>{statusOf(usage) || "–"}</Badge>,
    },
    { id: "model", label: t("model"), value: (usage) => usage.route || usage.model, width: "minmax(8rem, 1.3fr)" },
    { id: "key", label: t("key"), value: (usage) => nameOf(keys, usage), width: "minmax(7rem, 1fr)" },
    { id: "user", label: t("user"), value: (usage) => usage.user, width: "minmax(6rem, 0.8fr)", secondary: true },
    ...(below ? [{ id: "scope", label: t("scope"), value: (usage: Usage) => usage.scope, width: "minmax(8rem, 1fr)", secondary: true }] : []),
    number("input", t("input"), (usage) => tokensIn(usage.quantities, "input"), formatNumber),
    number("output", t("output"), (usage) => tokensIn(usage.quantities, "output"), formatNumber),
    ...(costs
      ? [{
          id: "cost", label: t("cost"), align: "right" as const, width: "7rem", value: (usage: Usage) => costOf(usage)?.nano,
          cell: (usage: Usage) => shownCost(costOf(usage)),
        }]
      : []),
    number("duration", t("duration"), (usage) => usage.course?.duration_ms, formatDuration),
    number("first", t("first"), (usage) => usage.course?.first_byte_ms, formatDuration),
    number("tries", t("tries"), (usage) => usage.course?.tries, formatNumber, "4.5rem"),
  ];
}

const shownCost = (cost: Money | null) => (cost ? formatMoney(cost.nano, cost.currency) : <span className="text-faint">–</span>);

function save(scope: string, requests: readonly Usage[], keys: Keys, costs: Costs): void {
  const name = `requests-${scope === "-" ? "installation" : scope}.csv`;
  const head = ["request_id", "ended", "status", "scope", "route", "model", "endpoint", "key", "user", "input_tokens", "output_tokens", "cost", "currency", "duration_ms", "first_byte_ms", "tries"];
  const rows = requests.map((usage) => [
    usage.request_id, usage.occurred_at, statusOf(usage), usage.scope, usage.route, usage.model, usage.endpoint, nameOf(keys, usage), usage.user,
    tokensIn(usage.quantities, "input"), tokensIn(usage.quantities, "output"), costs.get(usage.request_id)?.amount ?? null, costs.get(usage.request_id)?.currency ?? null,
    usage.course?.duration_ms ?? null, usage.course?.first_byte_ms ?? null, usage.course?.tries ?? null,
  ]);
  saveFile(name, csvOf([head, ...rows]));
  notify("ok", t("downloaded", { count: requests.length, name }));
}
