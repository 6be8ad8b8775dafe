/** The price book as forms need it: what a price is for, which one counts, and prices by the unit or by the million. */
import type { Price, Terms } from "./types.ts";

/** What a price, or terms, are for: `*` is every model, `-` everywhere. */
export interface BookKey {
  meter: string;
  model: string;
  currency: string;
  scope: string;
}

const DEFAULTS: BookKey = { meter: "", model: "*", currency: "USD", scope: "-" };

/** A key as the words of an address, and back. */
export const wordsOf = ({ meter, model, currency, scope }: BookKey): Record<string, string> => ({ meter, model, currency, of: scope });

export const keyFrom = (params: URLSearchParams, scope = DEFAULTS.scope): BookKey => ({
  meter: params.get("meter") ?? DEFAULTS.meter,
  model: params.get("model") ?? DEFAULTS.model,
  currency: params.get("currency") ?? DEFAULTS.currency,
  scope: params.get("of") ?? scope,
});

export const isOf = (version: BookKey, key: BookKey): boolean =>
  version.meter === key.meter && version.model === key.model && version.currency === key.currency && version.scope === key.scope;

export type Stand = "inForce" | "later" | "over" | "withdrawn";

/** Where a version stands now. */
export function standOf({ valid_from, valid_to, withdrawn }: Pick<Price, "valid_from" | "valid_to" | "withdrawn">, now = Date.now()): Stand {
  if (valid_to !== null && Date.parse(valid_to) <= now) return "over";
  if (Date.parse(valid_from) > now) return "later";
  return withdrawn ? "withdrawn" : "inForce";
}

const depth = (scope: string): number => (scope === "-" ? 0 : scope.split(".").length);

/** The price that counts for a key now: the nearest scope's; there the model's own before that of every model. */
export function countsFor(prices: readonly Price[], key: BookKey, now = Date.now()): Price | undefined {
  const own = (price: Price) => Number(price.model === key.model && key.model !== "*");
  return prices
    .filter((price) => price.meter === key.meter && price.currency === key.currency && [key.model, "*"].includes(price.model) && standOf(price, now) === "inForce")
    .sort((a, b) => depth(b.scope) - depth(a.scope) || own(b) - own(a))[0];
}

/** Terms say only from when they count: each until the next of the same key. */
export function withEnds(versions: readonly Terms[]): (Terms & { valid_to: string | null })[] {
  return versions.map((version) => {
    const later = versions.filter((other) => isOf(other, version) && other.valid_from > version.valid_from).map((other) => other.valid_from);
    return { ...version, valid_to: later.sort()[0] ?? null };
  });
}

/** A price as it is typed: people compare what costs next to nothing by the million. */
export interface PriceDraft {
  text: string;
  per: "one" | "million";
}

const MILLION = 6;

/** `0.4`, 6 places down, is `0.0000004`: exact, so texts and not numbers. */
export function shifted(decimal: string, places: number): string {
  const [whole = "0", fraction = ""] = decimal.split(".");
  const digits = `${whole}${fraction}`;
  const point = whole.length + places;
  const padded = point <= 0 ? `${"0".repeat(1 - point)}${digits}` : digits.padEnd(point, "0");
  const at = Math.max(point, 1);
  const shown = `${padded.slice(0, at).replace(/^0+(?=\d)/, "")}.${padded.slice(at)}`;
  return shown.replace(/0+$/, "").replace(/\.$/, "");
}

export function draftOfPrice(unitPrice: string): PriceDraft {
  if (unitPrice === "") return { text: "", per: "million" };
  const million = Number(unitPrice) < 0.0001;
  return { text: shifted(unitPrice, million ? MILLION : 0), per: million ? "million" : "one" };
}

/** A price as a word of an address, and back. */
export const showDraft = ({ text, per }: PriceDraft): string => `${text}/${per}`;

export function readDraft(word: string): PriceDraft {
  const [text = "", per] = word.split("/");
  return { text, per: per === "one" ? "one" : "million" };
}

/** The exact price of one unit; null for what is no price. */
export function unitPriceOf({ text, per }: PriceDraft): string | null {
  const plain = text.trim().replaceAll(",", "");
  return /^\d{1,12}(\.\d{1,18})?$/.test(plain) ? shifted(plain, per === "million" ? -MILLION : 0) : null;
}
