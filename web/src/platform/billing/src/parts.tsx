/** Small pieces that several of these pages are made of. */
import { Badge, Input, Tip, cx, formatMoney } from "@ironworks/ui";
import type { Tone } from "@ironworks/ui";
import type { ComponentProps, ReactNode } from "react";

import type { BookKey } from "./book.ts";
import { showDay } from "./days.ts";
import { nanoOf, showAmount, showExact, showPrice } from "./money.ts";
import type { Amount } from "./money.ts";
import type { Invoice, Price } from "./types.ts";
import { t } from "./words.ts";

/** A day in UTC. */
export const Day = ({ day }: { day: string }) => (
  <Tip text={t("utcDay")}>
    <time dateTime={day} className="nums whitespace-nowrap">
      {showDay(day)}
    </time>
  </Tip>
);

interface MoneyProps {
  amount: Amount;
  strong?: boolean;
  /** With every digit, where a list has to add up. */
  exact?: boolean;
}

export const Money = ({ amount, strong, exact }: MoneyProps) => (
  <span className={cx("nums whitespace-nowrap", strong && "font-semibold", nanoOf(amount) === 0n && "text-faint")}>
    {exact ? showExact(amount) : showAmount(amount)}
  </span>
);

export const Nano = ({ nano, currency, strong }: { nano: bigint; currency: string; strong?: boolean }) => (
  <span className={cx("nums whitespace-nowrap", strong && "font-semibold", nano === 0n && "text-faint")}>{formatMoney(nano, currency)}</span>
);

/** How much of something is used; what is beyond its end is told in words beside it. */
export function Bar({ label, used, limit, tone }: { label: string; used: number; limit: number; tone?: "warn" | "bad" }) {
  const part = limit > 0 ? Math.min(1, used / limit) : used > 0 ? 1 : 0;
  const colour = tone === "bad" || used > limit ? "bg-bad" : tone === "warn" || part >= 0.8 ? "bg-warn" : "bg-accent";
  return (
    <div role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={limit} aria-valuenow={Math.min(used, limit)} className="h-1.5 overflow-hidden rounded-full bg-raised">
      <div className={cx("h-full rounded-full", colour)} style={{ width: `${part * 100}%` }} />
    </div>
  );
}

const STATES = { draft: "draft", finalized: "toPay", paid: "paid", void: "void", uncollectible: "writtenOff" } as const;
const TONES: Record<Invoice["state"], Tone> = { draft: "idle", finalized: "info", paid: "ok", void: "idle", uncollectible: "warn" };

export const isOverdue = (invoice: Invoice, now = new Date()): boolean =>
  invoice.state === "finalized" && invoice.due_at !== null && Date.parse(invoice.due_at) < now.getTime();

export const stateWords = (invoice: Invoice): string => t(isOverdue(invoice) ? "overdue" : STATES[invoice.state]);

export const InvoiceState = ({ invoice }: { invoice: Invoice }) => (
  <Badge tone={isOverdue(invoice) ? "bad" : TONES[invoice.state]}>{stateWords(invoice)}</Badge>
);

/** Its number, or what stands for it while it has none. */
export const nameOf = (invoice: Invoice): string => invoice.number ?? t("draftOf", { day: showDay(invoice.period_start) });

export const AmountInput = (props: ComponentProps<typeof Input>) => <Input inputMode="decimal" autoComplete="off" placeholder="0.00" {...props} className="nums" />;

/** A figure with what it is made of beneath it. */
export const Row = ({ label, hint, value, children }: { label: ReactNode; hint?: ReactNode; value: ReactNode; children?: ReactNode }) => (
  <div className="flex flex-col gap-1.5 border-b border-line py-2 last:border-b-0">
    <div className="flex items-baseline gap-3">
      <span className="min-w-0 flex-1 break-words">
        {label}
        {hint && <span className="ml-2 text-xs text-faint">{hint}</span>}
      </span>
      <span className="text-sm">{value}</span>
    </div>
    {children}
  </div>
);

/** What is told apart by its end, where it does not fit: the end stays. To whoever listens it is one word. */
export function Tail({ text, from }: { text: string; from: string }) {
  const at = text.lastIndexOf(from);
  if (at <= 0) return text;
  return (
    <>
      <span className="sr-only">{text}</span>
      <span aria-hidden className="flex min-w-0">
        <span className="clip-line">{text.slice(0, at)}</span>
        <span className="shrink-0">{text.slice(at)}</span>
      </span>
    </>
  );
}

/** A scope as people call it. */
export const scopeWords = (scope: string): string => (scope === "-" ? t("operator") : scope);

export const modelWords = (model: string): string => (model === "*" ? t("everyModel") : model);
export const placeWords = (scope: string): string => (scope === "-" ? t("everywhere") : scope);

export function priceWords({ unit_price, currency }: Pick<Price, "unit_price" | "currency">): string {
  const { amount, million } = showPrice(unit_price, currency);
  return million ? t("million", { price: amount }) : amount;
}

/** What a price, or terms, are for, besides the meter. */
export const keyWords = ({ model, scope, currency }: BookKey): string => [modelWords(model), placeWords(scope), currency].join(", ");
