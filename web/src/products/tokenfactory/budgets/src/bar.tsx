/** How much of something is used, and how it stands. */
import { Badge, cx } from "@ironworks/ui";
import type { Tone } from "@ironworks/ui";

import { shareOf, standingOf } from "./types.ts";
import type { Budget, Standing } from "./types.ts";
import { t } from "./words.ts";

const TONE: Record<Standing, Tone> = { spent: "bad", over: "warn", near: "warn", frozen: "warn", fine: "ok" };
const FILL: Record<Standing, string> = { spent: "bg-bad", over: "bg-warn", near: "bg-warn", frozen: "bg-warn", fine: "bg-ok" };
const WORD = { spent: "stateSpent", over: "stateOver", near: "stateNear", frozen: "stateFrozen", fine: "stateFine" } as const;

export const standingWord = (budget: Budget): string => t(WORD[standingOf(budget)]);

export const StandingBadge = ({ budget }: { budget: Budget }) => <Badge tone={TONE[standingOf(budget)]}>{standingWord(budget)}</Badge>;

/** Spent, and beside it what is held for requests under way. */
export function SpentBar({ budget, className }: { budget: Budget; className?: string }) {
  const { spent = "0", reserved = "0" } = budget.status;
  const used = Math.min(1, shareOf(spent, budget.spec.amount));
  const held = Math.min(1 - used, shareOf(reserved, budget.spec.amount));
  return (
    <span className={cx("flex h-1.5 w-full overflow-hidden rounded-full bg-raised", className)}>
      <span className={FILL[standingOf(budget)]} style={{ width: `${used * 100}%` }} />
      <span className="bg-edge/60" style={{ width: `${held * 100}%` }} />
    </span>
  );
}
