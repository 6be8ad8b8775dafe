/** What weights mean: shares of the requests, or nothing unless all else fails. */
import type { Strategy, Target } from "./types.ts";

/** The part of the requests that each target gets, 0 to 1; null where the strategy decides by other things. */
export function sharesOf(targets: readonly Target[], strategy: Strategy): (number | null)[] {
  const weights = targets.map(({ weight = 1 }) => weight);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (sum === 0) return targets.map(() => (strategy === "weighted" ? 1 / targets.length : null)); // all of them are reserves: the same
  return weights.map((weight) => (weight === 0 ? 0 : strategy === "weighted" ? weight / sum : null));
}

/** Whether it serves only when nothing else is left. */
export const isReserve = (target: Target, targets: readonly Target[]): boolean =>
  (target.weight ?? 1) === 0 && targets.some(({ weight = 1 }) => weight > 0);

/** 0.9 as `90 %`; thirds as `33.3 %`. */
export const percent = (share: number): string => `${(share * 100).toLocaleString("en", { maximumFractionDigits: 1 })} %`;
