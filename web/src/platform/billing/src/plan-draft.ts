/** A plan as a form has it, what it sends, and how it differs from the version before. */
import { formatCompact, formatMoney, parseMoney, words } from "@ironworks/ui";

import { draftOfPrice, unitPriceOf } from "./book.ts";
import type { PriceDraft } from "./book.ts";
import { costOf, nanoOf, showAmount, toDecimal } from "./money.ts";
import type { NewPlan, Plan } from "./types.ts";
import { t } from "./words.ts";

export const LIMITS = ["platforms", "tenants", "features"] as const;

export interface Allowance {
  meter: string;
  included: string;
  /** What is beyond; without a text the price book counts. */
  beyond: PriceDraft;
}

export interface PlanDraft {
  name: string;
  title: string;
  currency: string;
  fee: string;
  trial: string;
  /** Empty is without a limit. */
  limits: Record<string, string>;
  allowances: Allowance[];
}

export const NOTHING: Allowance = { meter: "", included: "", beyond: draftOfPrice("") };

export function draftOf(plan: Plan | null): PlanDraft {
  if (!plan) return { name: "", title: "", currency: "USD", fee: "", trial: "0", limits: {}, allowances: [] };
  return {
    name: plan.name,
    title: plan.title,
    currency: plan.base_fee.currency,
    fee: toDecimal(nanoOf(plan.base_fee)),
    trial: String(plan.trial_days),
    limits: Object.fromEntries(Object.entries(plan.limits).map(([limit, most]) => [limit, most === null ? "" : String(most)])),
    allowances: Object.entries(plan.included).map(([meter, count]) => ({ meter, included: count.toLocaleString("en"), beyond: draftOfPrice(plan.overage[meter] ?? "") })),
  };
}

const whole = (text: string): number | null => (/^\d{1,15}$/.test(text.replaceAll(",", "").trim()) ? Number(text.replaceAll(",", "")) : null);

/** What is sent; null while something of it is no number, or said twice. */
export function bodyOf(draft: PlanDraft): NewPlan | null {
  const fee = draft.fee.trim().replaceAll(",", "");
  const limits = Object.entries(draft.limits).map(([limit, most]) => [limit, most.trim() === "" ? null : whole(most)] as const);
  const rows = draft.allowances.map(({ meter, included, beyond }) => ({ meter, count: whole(included), price: beyond.text.trim() === "" ? "" : unitPriceOf(beyond) }));
  const wrong =
    !/^\d{1,7}(\.\d{1,9})?$/.test(fee) ||
    whole(draft.trial) === null ||
    limits.some(([limit, most]) => most === null && draft.limits[limit]?.trim() !== "") ||
    rows.some(({ meter, count, price }) => !meter || !count || price === null) ||
    new Set(rows.map(({ meter }) => meter)).size < rows.length;
  if (wrong) return null;
  return {
    name: draft.name.trim(),
    title: draft.title.trim(),
    currency: draft.currency,
    base_fee: fee,
    trial_days: Number(draft.trial),
    limits: Object.fromEntries(limits),
    included: Object.fromEntries(rows.map(({ meter, count }) => [meter, count ?? 0])),
    overage: Object.fromEntries(rows.filter(({ price }) => price).map(({ meter, price }) => [meter, price ?? ""])),
  };
}

export interface Change {
  what: string;
  before: string;
  after: string;
}

/** What a plan says, field by field, in words. */
interface Said {
  title: string;
  fee: string;
  trial_days: number;
  limits: Record<string, number | null>;
  included: Record<string, number>;
  overage: Record<string, string | number>;
}

const NO_PLAN: Said = { title: "", fee: "", trial_days: 0, limits: {}, included: {}, overage: {} };

function linesOf(said: Said, currency: string): [string, string][] {
  return [
    [t("planTitle"), said.title],
    [t("feeRow"), said.fee],
    [t("trialRow"), said.trial_days > 0 ? t("trialDays", { count: said.trial_days }) : ""],
    ...LIMITS.map((limit): [string, string] => [t("limitRow", { quota: words(limit) }), said.title === "" ? "" : (said.limits[limit]?.toLocaleString("en") ?? t("unlimited"))]),
    ...Object.entries(said.included).flatMap(([meter, count]): [string, string][] => {
      const price = said.overage[meter];
      const beyond = price === undefined ? t("asTheBook") : t("million", { price: formatMoney(costOf(1_000_000, String(price)), currency) });
      return [[t("includedRow", { meter: words(meter) }), formatCompact(count)], [t("beyondOf", { meter: words(meter) }), beyond]];
    }),
  ];
}

const saidBy = (plan: Plan): Said => ({ ...plan, fee: showAmount(plan.base_fee) });

function compared(before: Said, after: Said, currency: string): Change[] {
  const old = new Map(linesOf(before, currency));
  const fresh = new Map(linesOf(after, currency));
  return [...new Set([...fresh.keys(), ...old.keys()])]
    .map((what) => ({ what, before: old.get(what) ?? "", after: fresh.get(what) ?? "" }))
    // the price book counts wherever a plan says nothing of a meter, whether or not it includes it
    .filter((change) => (change.before || t("asTheBook")) !== (change.after || t("asTheBook")));
}

/** How a version differs from the one before; of a first one all that it says. */
export const changesOf = (before: Plan | null, after: Plan): Change[] => compared(before ? saidBy(before) : NO_PLAN, saidBy(after), after.base_fee.currency);

/** The same of what is being written. */
export function changesTo(before: Plan | null, body: NewPlan): Change[] {
  const currency = body.currency ?? "USD";
  const fee = formatMoney(parseMoney(String(body.base_fee)), currency);
  const after: Said = { title: body.title, fee, trial_days: body.trial_days ?? 0, limits: body.limits ?? {}, included: body.included ?? {}, overage: body.overage ?? {} };
  return compared(before ? saidBy(before) : NO_PLAN, after, currency);
}
