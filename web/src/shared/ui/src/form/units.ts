/** In what a field is counted. Names end with their unit (`timeout_seconds`), and formats say the rest. */
import { words } from "../format.ts";
import { t } from "./words.ts";

export interface Unit {
  id: string;
  label: string;
  /** How many of what the field counts in. */
  size: number;
}

export type Measure =
  | { type: "scaled"; units: readonly Unit[] }
  | { type: "quantity"; units: readonly { id: string; label: string }[] }
  | { type: "fixed"; unit: string }
  | { type: "fraction" };

const TIME: readonly Unit[] = [
  { id: "s", label: "s", size: 1 },
  { id: "min", label: "min", size: 60 },
  { id: "h", label: "h", size: 3_600 },
  { id: "d", label: "d", size: 86_400 },
];
const BYTES: readonly Unit[] = ["B", "KiB", "MiB", "GiB", "TiB"].map((label, power) => ({ id: label, label, size: 1024 ** power }));
const MEMORY = ["Mi", "Gi", "Ti", "Ki", "", "M", "G", "T", "K"].map((id) => ({ id, label: `${id}B` }));
const FIXED: readonly [RegExp, string][] = [
  [/_days$/, t("unitDays")],
  [/_percent$/, "%"],
];

export function measureOf(name: string, format = ""): Measure | null {
  if (format === "quantity-cpu") return { type: "quantity", units: [{ id: "", label: t("unitCores") }, { id: "m", label: t("unitMillicores") }] };
  if (format === "quantity-memory") return { type: "quantity", units: MEMORY };
  if (/(^|_)seconds$/.test(name)) return { type: "scaled", units: TIME };
  if (/(^|_)bytes$/.test(name)) return { type: "scaled", units: BYTES };
  if (/_rate$/.test(name)) return { type: "fraction" };
  const fixed = FIXED.find(([pattern]) => pattern.test(name));
  return fixed ? { type: "fixed", unit: fixed[1] } : null;
}

/** A field's label: its unit stands behind its control. */
export const labelOf = (name: string): string => words(measureOf(name) ? name.replace(/_(seconds|days)$/, "").replace(/_bytes$/, "_size") : name);

/** The largest unit that counts `value` in whole numbers: 600 s are 10 min. */
export function fittingUnit(value: unknown, units: readonly Unit[]): Unit {
  const [first] = units as [Unit];
  if (typeof value !== "number" || value === 0) return first;
  return [...units].reverse().find((unit) => value % unit.size === 0) ?? first;
}

/** `512Mi` → its number and its unit. What is no quantity is all number, so that it can be put right. */
export function splitQuantity(text: string, units: readonly { id: string }[]): { number: string; unit: string } {
  if (text === "") return { number: "", unit: units[0]?.id ?? "" };
  const found = [...units].sort((a, b) => b.id.length - a.id.length).find(({ id }) => id !== "" && text.endsWith(id));
  return found ? { number: text.slice(0, -found.id.length), unit: found.id } : { number: text, unit: "" };
}

/** Text as any JSON: numbers, words and lists as what they are, everything else as the text that it is. */
export function parseAny(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** The other way: a text that would read as something else is quoted. */
export function showAny(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value !== "string") return JSON.stringify(value);
  return parseAny(value) === value ? value : JSON.stringify(value);
}

/** A moment for an input of the type datetime-local, in the viewer's zone; and back. */
export function toLocal(moment: unknown): string {
  if (typeof moment !== "string" || Number.isNaN(Date.parse(moment))) return "";
  const at = new Date(moment);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export const fromLocal = (text: string): string | undefined => (text ? new Date(text).toISOString() : undefined);
