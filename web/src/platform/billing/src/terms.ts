/** Terms as a form shows them, and in words. */
import { formatMoney, formatNumber, parseMoney } from "@ironworks/ui";
import type { JsonSchema } from "@ironworks/ui/form";

import type { Terms } from "./types.ts";
import { t } from "./words.ts";

const decimal = (description: string): JsonSchema => ({ type: "string", description, maxLength: 40 });
const count = (description: string): JsonSchema => ({ type: "integer", minimum: 1, description });

/** As the API takes them; amounts are texts, so that every digit stays. */
export const TERMS_SCHEMA: JsonSchema = {
  type: "object",
  required: ["tiers"],
  properties: {
    included: { type: "integer", minimum: 0, description: "So many units are free, the first ones of the period." },
    tiers: {
      type: "array",
      maxItems: 50,
      default: [],
      description: "Prices of the rest instead of the base price, from the first unit on. The last tier has no end.",
      items: {
        type: "object",
        required: ["unit_price"],
        properties: {
          up_to: { anyOf: [count("The last unit of the tier; empty in the last one."), { type: "null" }] },
          unit_price: decimal("Exact, of one unit: 0.0000004 is 0.40 a million."),
        },
      },
    },
    mode: { type: "string", enum: ["graduated", "volume"], default: "graduated", description: "Graduated: each unit at its own tier's price. Volume: all at the last one's." },
    package: {
      anyOf: [
        { type: "object", required: ["size", "price"], properties: { size: count("Units in a package."), price: decimal("Of a package, begun or whole.") } },
        { type: "null" },
      ],
      description: "In place of tiers: the rest in packages.",
    },
    discount: { type: "string", description: "Per cent off all that, 0 to 100.", maxLength: 24 },
    minimum: decimal("A period costs at least this much, used or not."),
  },
};

/** Only what is said: a field that was cleared again says nothing. */
export const saidTerms = (value: object): object => Object.fromEntries(Object.entries(value).filter(([, held]) => held !== undefined && held !== null && held !== ""));

type Worded = Pick<Terms, "terms" | "currency">;

/** What terms change, part by part, in the order in which they apply. */
export function termsWords({ terms, currency }: Worded): string[] {
  const money = (amount: string | number) => formatMoney(parseMoney(String(amount)), currency);
  return [
    terms.included ? t("termIncluded", { count: formatNumber(terms.included) }) : "",
    terms.tiers?.length ? t("termTiers", { count: terms.tiers.length, mode: terms.mode ?? "graduated" }) : "",
    terms.package ? t("termPackage", { size: formatNumber(terms.package.size), price: money(terms.package.price) }) : "",
    Number(terms.discount ?? 0) > 0 ? t("termDiscount", { percent: String(terms.discount) }) : "",
    Number(terms.minimum ?? 0) > 0 ? t("termMinimum", { amount: money(terms.minimum ?? "0") }) : "",
  ].filter(Boolean);
}

/** In a list: what they say, that they say nothing, or that they are withdrawn. */
export const termsLine = (version: Terms): string => (version.withdrawn ? t("withdrawn") : termsWords(version).join(", ") || t("termsNone").toLowerCase());
