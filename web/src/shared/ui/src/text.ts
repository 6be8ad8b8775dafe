/**
 * Words that people read, in catalogues: one per package, looked up by key, with `{name}` for what varies.
 *
 * `const t = catalogue("keys", {revoke: "Revoke {name}?"})`, then `t("revoke", {name})`. Another language hands in its
 * words for a catalogue with `translate`; what it lacks stays in English. `{count|row|rows}` chooses by number.
 */
export type Values = Record<string, string | number>;
export type Lookup<T> = (key: keyof T & string, values?: Values) => string;

const translations = new Map<string, Record<string, string>>();

export function translate(name: string, words: Record<string, string>): void {
  translations.set(name, { ...translations.get(name), ...words });
}

export function catalogue<const T extends Record<string, string>>(name: string, words: T): Lookup<T> {
  return (key, values) => fill(translations.get(name)?.[key] ?? words[key] ?? key, values);
}

export function fill(text: string, values: Values = {}): string {
  return text.replace(/\{(\w+)(?:\|([^|{}]*)\|([^|{}]*))?\}/g, (whole, name: string, one?: string, many?: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    if (one === undefined) return String(value);
    return `${formatCount(value)} ${Number(value) === 1 ? one : (many ?? "")}`;
  });
}

const formatCount = (value: string | number) => Number(value).toLocaleString("en");
