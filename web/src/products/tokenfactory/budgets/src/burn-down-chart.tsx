/** A budget's burn-down, drawn. */
import { Button, Section, TimeChart, formatMoney } from "@ironworks/ui";
import { useMemo } from "react";

import { drawingOf } from "./burn-down.ts";
import { NANO, money } from "./types.ts";
import type { BurnDown } from "./types.ts";
import { t } from "./words.ts";

const LABEL = { spent: "lineSpent", forecast: "lineForecast", high: "lineHigh", low: "lineLow", even: "lineEven", amount: "lineAmount" } as const;
const BASIS = { days: "basisDays", hours: "basisHours", "tens-of-minutes": "basisTens", lifetime: "basisLife" } as const;
const FORESEEN = new Set<string | number>(["forecast", "high", "low"]);

interface ChartProps {
  found: BurnDown;
  /** A moment of the period that is shown; empty for the one that runs. */
  moment: string;
  onMoment: (moment: string) => void;
}

export function BurnDownChart({ found, moment, onMoment }: ChartProps) {
  const drawing = useMemo(() => drawingOf(found), [found]);
  const series = useMemo(
    () =>
      drawing.lines.map(({ id, values }) => ({
        label: typeof id === "number" ? t("linePercent", { percent: id }) : t(LABEL[id]),
        values,
        ...(FORESEEN.has(id) ? { look: "dashed" as const, like: 0 } : id === "spent" ? {} : { look: "guide" as const }),
      })),
    [drawing],
  );
  const high = drawing.lines.findIndex((line) => line.id === "high");
  const { forecast, currency } = found;
  const hint = forecast ? t("burnDownHint", { basis: t(BASIS[forecast.basis], { blocks: forecast.blocks }) }) : t("burnDownOver");
  return (
    <Section
      title={t("burnDown")}
      hint={hint}
      actions={
        <>
          {found.period !== "total" && found.counts_from === found.period_start && (
            <Button small look="quiet" onClick={() => onMoment(new Date(Date.parse(found.period_start) - 1000).toISOString())}>
              {t("earlier")}
            </Button>
          )}
          {moment && (
            <Button small onClick={() => onMoment("")}>
              {t("now")}
            </Button>
          )}
        </>
      }
    >
      <TimeChart
        label={t("burnDownChart", { amount: money(found.amount, currency) })}
        height={280}
        times={drawing.times}
        series={series}
        top={drawing.top}
        {...(high >= 0 && { band: [high, high + 1] as [number, number] })}
        format={(value) => formatMoney(BigInt(Math.round(value * NANO)), currency)}
      />
    </Section>
  );
}
