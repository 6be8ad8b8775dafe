/** Rates are exact fractions to the API, `0.19`, and per cent to people, `19`. Digits move; nothing is computed. */

/** `0.1900` as `19`. */
export function percentOf(fraction: string | number): string {
  const [whole = "0", part = ""] = String(fraction).split(".");
  const digits = part.padEnd(2, "0");
  const integer = `${whole}${digits.slice(0, 2)}`.replace(/^0+(?=\d)/, "");
  const rest = digits.slice(2).replace(/0+$/, "");
  return rest ? `${integer}.${rest}` : integer;
}

/** `19` as `0.19`; null for what is not 0 to 100 with up to four places. */
export function fractionOf(percent: string): string | null {
  const found = /^(\d{1,3})(?:\.(\d{0,4}))?$/.exec(percent.trim());
  if (!found || Number(percent) > 100) return null;
  const [, whole = "0", part = ""] = found;
  const digits = whole.padStart(3, "0");
  return `${Number(digits.slice(0, 1))}.${digits.slice(1)}${part}`;
}
