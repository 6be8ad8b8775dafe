/** What an answer took, in one line, with the way to its request's story. */
import { Link, pageAddress, useCan, useFeature, usePlace } from "@ironworks/sdk";
import { Badge, formatCompact, formatDuration, formatMoney, parseMoney } from "@ironworks/ui";
import type { ReactNode } from "react";

import { CURRENCY } from "./gateway.ts";
import type { Measures } from "./gateway.ts";
import { t } from "./words.ts";

/** Tokens a second after the first. */
export function rateOf({ output, firstMs, totalMs }: Measures): number | null {
  if (!output || output < 2 || firstMs === undefined || totalMs === undefined || totalMs <= firstMs) return null;
  return ((output - 1) / (totalMs - firstMs)) * 1000;
}

export const showCost = (cost: string): string => formatMoney(parseMoney(cost), CURRENCY);
const showMs = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : formatDuration(ms));

interface LineProps {
  measures: Measures;
  /** What was asked for: what served it is told where it is called otherwise. */
  model: string;
  note?: string;
}

const tokensOf = (input: number, output?: number): string =>
  output === undefined ? t("inputTokens", { input }) : t("tokens", { input: formatCompact(input), output: formatCompact(output) });

export function MeasuresLine({ measures, model, note }: LineProps) {
  const { scope } = usePlace();
  const can = useCan();
  const stories = useFeature("requests") && can("usage:read", scope);
  const { requestId, firstMs, totalMs, input, known, output, cost, overheadMs, cached, servedBy } = measures;
  const rate = rateOf(measures);
  const facts: [string, ReactNode][] = [];
  if (firstMs !== undefined) facts.push(["first", `${t("firstToken")} ${showMs(firstMs)}`]);
  if (totalMs !== undefined) facts.push(["total", `${showMs(totalMs)} ${t("total")}`]);
  if (rate !== null) facts.push(["rate", t("speed", { rate: rate < 10 ? rate.toFixed(1) : Math.round(rate) })]);
  if (input !== undefined) facts.push(["tokens", tokensOf(input, output)]);
  if (known !== undefined) facts.push(["known", t("known", { tokens: formatCompact(known) })]);
  if (cost !== undefined) facts.push(["cost", <span className="text-muted">{showCost(cost)}</span>]);
  if (overheadMs !== undefined) facts.push(["overhead", t("overhead", { ms: showMs(overheadMs) })]);
  if (servedBy && servedBy !== model && servedBy !== `${scope}/${model}`) facts.push(["served", <span className="font-mono">{servedBy}</span>]);
  if (facts.length === 0 && !requestId && !note) return null;
  return (
    <div className="flex min-w-0 flex-wrap items-center gap-x-3 gap-y-0.5 py-0.5 text-2xs text-faint" data-measures>
      {note && <span className="text-warn">{note}</span>}
      {facts.map(([id, shown]) => (
        <span key={id} className="nums whitespace-nowrap" data-fact={id}>
          {shown}
        </span>
      ))}
      {cached && <Badge tone="info">{t("fromCache")}</Badge>}
      {requestId &&
        (stories ? (
          <Link
            to={pageAddress(scope, "requests", requestId)}
            aria-label={`${t("story")} ${requestId}`}
            className="font-mono text-muted underline decoration-line underline-offset-2 hover:text-ink"
          >
            {requestId}
          </Link>
        ) : (
          <span className="font-mono">{requestId}</span>
        ))}
    </div>
  );
}
