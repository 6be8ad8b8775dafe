/** Amounts as the API tells and takes them: exact decimals, and whole nano-units (10⁻⁹) that stay bigint. */
import { formatMoney, parseMoney } from "@ironworks/ui";

export interface Amount {
  currency: string;
  amount: string;
}

export const nanoOf = ({ amount }: Amount): bigint => parseMoney(amount);

export const showAmount = (amount: Amount): string => formatMoney(nanoOf(amount), amount.currency);

export const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((total, each) => total + each, 0n);

/** A quantity at an exact unit price, in nano-units, half to even: as rating does it. */
export function costOf(quantity: number, unitPrice: string): bigint {
  const [whole = "0", fraction = ""] = unitPrice.split(".");
  const price = BigInt(`${whole}${fraction}`) * BigInt(Math.round(quantity)) * 1_000_000_000n;
  return divideHalfEven(price, 10n ** BigInt(fraction.length));
}

/** Of positive numbers. */
export function divideHalfEven(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  const rest = (value % by) * 2n;
  return rest > by || (rest === by && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

/** What a person typed, `1,250.5`, in nano-units; null for what is no amount above zero. */
export function readAmount(text: string): bigint | null {
  const plain = text.trim().replaceAll(",", "");
  if (!/^\d{1,10}(\.\d{1,9})?$/.test(plain)) return null;
  const nano = parseMoney(plain);
  return nano > 0n ? nano : null;
}

/** `49.00`, as a person would type it. */
export function toDecimal(nano: bigint): string {
  const sign = nano < 0n ? "-" : "";
  const digits = (nano < 0n ? -nano : nano).toString().padStart(10, "0");
  const fraction = digits.slice(-9).replace(/0+$/, "").padEnd(2, "0");
  return `${sign}${digits.slice(0, -9)}.${fraction}`;
}

/** Every digit that there is, where a list has to add up: `$0.225`, `$1,234.50`. */
export function showExact(amount: Amount): string {
  const nano = nanoOf(amount);
  const [, fraction = ""] = toDecimal(nano).split(".");
  if (fraction.length <= 2) return formatMoney(nano, amount.currency);
  const whole = nano - (nano % 1_000_000_000n); // written with its groups and its sign
  const shown = formatMoney(whole, amount.currency).replace(/\.00/, `.${fraction}`);
  return nano < 0n && whole === 0n ? `−${shown}` : shown;
}

/** An exact unit price as people compare them: a million of what costs next to nothing alone. */
export function showPrice(unitPrice: string, currency: string): { amount: string; million: boolean } {
  const one = parseMoney(unitPrice);
  const million = one < 100_000n; // less than a hundredth of a cent
  return { amount: formatMoney(million ? costOf(1_000_000, unitPrice) : one, currency), million };
}

/** For drawing alone: a line is not exact. */
export const toNumber = (nano: bigint): number => Number(nano) / 1e9;
