/** Budgets as the API tells them. */
import { pageAddress, splitReference } from "@ironworks/sdk";
import type { Resource, components } from "@ironworks/sdk";
import { formatMoney, parseMoney } from "@ironworks/ui";

export const PLURAL = "budgets";
export const NANO = 1e9;
export const PERIODS = ["day", "week", "month", "total"] as const;
export type Period = (typeof PERIODS)[number];

export interface BudgetSpec {
  amount: string;
  currency: string;
  period: Period;
  mode: "hard" | "soft";
  on_failure: "open" | "closed";
  thresholds: number[];
  key: string | null;
  route: string | null;
  endpoint: string | null;
}

interface BudgetStatus {
  period_start: string | null;
  period_end: string | null;
  spent: string;
  reserved: string;
  remaining: string;
  unreserved: string;
  projected: string | null;
  runs_out_at: string | null;
  frozen_leases: { holder: string; host: string; amount: string; since: string }[];
}

export type Budget = Resource<BudgetSpec & Record<string, unknown>, Partial<BudgetStatus>>;
export type BurnDown = components["schemas"]["BurnDownView"];
export type Lease = components["schemas"]["LeaseView"];

export const SUBJECTS = ["key", "route", "endpoint"] as const;
export type Subject = (typeof SUBJECTS)[number];

/** What alone counts, if not everything. */
export function subjectOf(spec: BudgetSpec): { kind: Subject; reference: string } | null {
  const kind = SUBJECTS.find((one) => spec[one]);
  return kind ? { kind, reference: spec[kind] as string } : null;
}

/** `path/name` of what counts. */
export function subjectPath(budget: Budget): string | null {
  const subject = subjectOf(budget.spec);
  if (!subject) return null;
  const { scope, name } = splitReference(subject.reference, budget.metadata.scope);
  return `${scope}/${name}`;
}

export const budgetAddress = (scope: string, { metadata }: Budget, step = ""): string =>
  pageAddress(scope, "budgets", `${metadata.scope}/${metadata.name}${step && `/${step}`}`);

export const money = (amount: string, currency: string): string => formatMoney(parseMoney(amount), currency);

/** To the last digit, for what people have set themselves and what is made of it. */
export function exactMoney(amount: string, currency: string): string {
  const [whole = "0", fraction = ""] = amount.split(".");
  const shown = formatMoney(parseMoney(whole), currency);
  return fraction.length > 2 ? shown.replace(/\.00/, `.${fraction}`) : money(amount, currency);
}

/** Nano-units as the API takes amounts: 1_500_000_000 → `1.5`. */
export function decimalOf(nano: bigint): string {
  const fraction = (nano % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  return `${nano / 1_000_000_000n}${fraction && `.${fraction}`}`;
}

/** Never less than nothing: what was overshot is told by how it stands. */
export function leftOf({ spec, status }: Budget): string {
  const left = parseMoney(spec.amount) - parseMoney(status.spent ?? "0");
  return decimalOf(left > 0n ? left : 0n);
}

/** For drawing; amounts that are told stay exact. */
export const inUnits = (amount: string): number => Number(parseMoney(amount)) / NANO;

/** Spent of the amount; more than 1 where it was overshot, and where nothing may be spent. */
export function shareOf(spent: string, amount: string): number {
  const all = inUnits(amount);
  return all > 0 ? inUnits(spent) / all : inUnits(spent) > 0 ? 2 : 1;
}

export type Standing = "spent" | "over" | "near" | "frozen" | "fine";

/** How it stands, worst first: used up (also where what is left pays for no call), on the way to it, nearly, with money that nobody gives back, or well. */
export function standingOf({ spec, status }: Budget): Standing {
  const share = shareOf(status.spent ?? "0", spec.amount);
  if (share >= 1 || status.phase === "Exhausted") return "spent";
  if ((status.frozen_leases ?? []).length > 0) return "frozen";
  if (status.runs_out_at && Date.parse(status.runs_out_at) > Date.now() - 600_000) return "over";
  return share >= 0.8 ? "near" : "fine";
}
