/** Every version of every plan: one call, which several pages share. */
import { api, live, unwrap, useQuery } from "@ironworks/sdk";

import type { Plan } from "./types.ts";

export const useEveryPlan = () =>
  useQuery({
    queryKey: ["billing", "plans", "all"],
    ...live("-", "plans"),
    queryFn: async () => (await unwrap(api.GET("/api/v1/plans", { params: { query: { every_version: true } } }))).items,
  });

const isSame = (plan: Plan, other: Plan): boolean => plan.name === other.name && plan.base_fee.currency === other.base_fee.currency;

/** Of each plan the last version, which may withdraw it. */
export const latestOf = (plans: readonly Plan[]): Plan[] => plans.filter((plan) => !plans.some((other) => isSame(plan, other) && other.version > plan.version));

/** The versions of a plan, newest first. */
export const versionsOf = (plans: readonly Plan[], name: string, currency?: string): Plan[] => {
  const named = plans.filter((plan) => plan.name === name).sort((a, b) => b.version - a.version);
  const of = currency ?? named[0]?.base_fee.currency;
  return named.filter((plan) => plan.base_fee.currency === of);
};
