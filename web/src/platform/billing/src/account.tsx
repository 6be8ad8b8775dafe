/** What most of these pages ask about an account. Each hook is one call. */
import { ApiError, Link, api, live, pageAddress, request, unwrap, useBootstrap, useCan, useQuery } from "@ironworks/sdk";
import { Empty, buttonClass } from "@ironworks/ui";

import { addDays, today } from "./days.ts";
import { periodOf } from "./period.ts";
import type { UsageRow } from "./period.ts";
import type { Standing } from "./types.ts";
import { t } from "./words.ts";

/** The account that pays for what lies at `scope`; null for the operator's own. */
export const accountOf = (scope: string): string | null => (scope === "-" ? null : (scope.split(".")[0] ?? null));

/** The subscription, with its plan and what is used of it; null for who pays by calendar month. */
export function useStanding(account: string | null) {
  const may = useCan()("subscription:read", account ?? "-");
  return useQuery({
    queryKey: ["billing", "subscription", account],
    enabled: account !== null && may,
    ...live(account ?? "-", "subscriptions", "plans", "ledger"),
    queryFn: async (): Promise<Standing | null> => {
      try {
        return await unwrap(api.GET("/api/v1/scopes/{path}/subscription", { params: { path: { path: account ?? "" } } }));
      } catch (error) {
        if (error instanceof ApiError && error.code === "NO_SUBSCRIPTION") return null;
        throw error;
      }
    },
  });
}

/** The rows of a report; each amount is an exact decimal under its own name. */
export async function fetchReport<T>(scope: string, report: string, query: Record<string, string>): Promise<T[]> {
  const { items } = await request<{ items: T[] | null }>(`/api/v1/scopes/${encodeURIComponent(scope)}/reports/${report}?${new URLSearchParams(query)}`);
  return items ?? [];
}

export const TREND_DAYS = 30;

/** Usage by day and meter, of the period or of the last thirty days, whichever is longer. */
export function useUsage(scope: string, standing: Standing | null | undefined) {
  const may = useCan()("billing:read", scope);
  const now = today();
  const { start } = periodOf(standing ?? null, now);
  const trend = addDays(now, 1 - TREND_DAYS);
  const from = start < trend ? start : trend;
  return useQuery({
    queryKey: ["billing", "usage", scope, from],
    enabled: may && standing !== undefined,
    ...live(scope, "usage", "ledger"),
    queryFn: () => fetchReport<UsageRow>(scope, "usage", { from, to: addDays(now, 1), by: "day,meter" }),
  });
}

export function useCredit(account: string | null) {
  const may = useCan()("billing:read", account ?? "-");
  return useQuery({
    queryKey: ["billing", "credit", account],
    enabled: account !== null && may,
    ...live(account ?? "-", "ledger"),
    queryFn: () => unwrap(api.GET("/api/v1/scopes/{path}/credit", { params: { path: { path: account ?? "" } } })),
  });
}

/** What the account can be charged by, and whether anybody takes payments at all. */
export function useMethods(account: string | null) {
  const may = useCan()("payment-method:read", account ?? "-");
  return useQuery({
    queryKey: ["billing", "methods", account],
    enabled: account !== null && may,
    ...live(account ?? "-", "payment-methods"),
    queryFn: () => unwrap(api.GET("/api/v1/scopes/{path}/payment-methods", { params: { path: { path: account ?? "" } } })),
  });
}

/** In place of a page that is an account's own, for who may see a part of what lies in it alone. */
export const NotYours = ({ account, scope }: { account: string; scope: string }) => (
  <Empty
    icon="shield"
    title={t("notYours", { account })}
    actions={
      <Link to={pageAddress(scope, "billing")} className={buttonClass("normal")}>
        {t("whatUsed")}
      </Link>
    }
  >
    {t("notYoursHint")}
  </Empty>
);

/** In place of a page that is an account's own, where no account is open. */
export function ChooseAccount({ page }: { page: string }) {
  const accounts = useBootstrap().scopes.filter((scope) => scope.kind === "Account").slice(0, 12);
  return (
    <Empty
      icon="building"
      title={t("chooseAccount")}
      actions={accounts.map((account) => (
        <Link key={account.path} to={pageAddress(account.path, "billing", page)} className={buttonClass("normal")}>
          {account.path}
        </Link>
      ))}
    >
      {t("chooseAccountHint")}
    </Empty>
  );
}
