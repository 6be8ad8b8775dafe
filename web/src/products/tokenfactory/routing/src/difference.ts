/** The API tells lists as wholes; people want the one weight that differs. */
import type { Difference } from "@ironworks/sdk";

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** The same differences, each taken apart as far as both sides have the same shape. */
export const leaves = (diff: readonly Difference[]): Difference[] => diff.flatMap(({ field, from, to }) => apart(field, from, to));

function apart(field: string, from: unknown, to: unknown): Difference[] {
  if (Array.isArray(from) && Array.isArray(to)) {
    const length = Math.max(from.length, to.length);
    return Array.from({ length }, (_, index) => apart(`${field}[${index}]`, from[index], to[index])).flat();
  }
  if (isRecord(from) && isRecord(to)) {
    return [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((key) => apart(`${field}.${key}`, from[key], to[key]));
  }
  return JSON.stringify(from ?? null) === JSON.stringify(to ?? null) ? [] : [{ field, from, to }];
}

/** A value in one line; what is not set is left out of it. */
export function inLine(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  return JSON.stringify(value, (_, inner: unknown) => (inner === null ? undefined : inner));
}
