/**
 * Series over time, drawn on a canvas by uPlot; the table of the same figures that a screen reader gets is beside it.
 * A module of its own, loaded by the pages that draw.
 */
import { useEffect, useRef } from "react";
import uPlot from "uplot";

import { useShownTheme } from "./prefs.ts";

export interface Series {
  label: string;
  values: (number | null)[];
  /** `dashed`: what is expected; `guide`: what the others are measured by. Neither fills the area below it. */
  look?: "dashed" | "guide";
  /** The place of the series whose colour it has. */
  like?: number;
}

interface ChartProps {
  label: string;
  /** Unix seconds, ascending. */
  times: number[];
  series: Series[];
  format: (value: number) => string;
  height?: number;
  kind?: "line" | "bars";
  onRange?: (from: number, to: number) => void;
  /** Two series, by their places, between which the area is filled. */
  band?: [upper: number, lower: number];
  /** The highest value in sight; what is higher leaves the picture. */
  top?: number;
}

/** Midnights as dates, everything else as times of a 24-hour day. */
const hours = (_plot: uPlot, splits: number[]): string[] =>
  splits.map((at) => {
    const moment = new Date(at * 1000);
    const midnight = moment.getHours() === 0 && moment.getMinutes() === 0;
    return midnight
      ? moment.toLocaleDateString("en", { day: "numeric", month: "short" })
      : moment.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  });

const token = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A point between two gaps would be a line of no length: it is drawn as a dot. */
const hasLonePoints = (values: readonly (number | null)[]): boolean =>
  values.some((value, index) => value !== null && (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null);

/** Seconds from one moment to the next; an hour where there is one alone. */
const step = (times: readonly number[]): number => (times.length > 1 ? ((times.at(-1) ?? 0) - (times[0] ?? 0)) / (times.length - 1) : 3600);

function options(props: ChartProps, width: number): uPlot.Options {
  const strokes = props.series.map((one, index) => token(one.look === "guide" ? "--edge" : `--series-${((one.like ?? index) % 6) + 1}`));
  const axis = { stroke: token("--faint"), grid: { stroke: token("--line"), width: 1 }, ticks: { show: false }, font: "11px Inter Variable" };
  const whole = props.series.every((one) => one.values.every((value) => value === null || Number.isInteger(value)));
  const bars = props.kind === "bars" ? (uPlot.paths.bars?.({ size: [0.7, 40], radius: 0.1 }) ?? null) : null;
  return {
    width,
    height: props.height ?? 200,
    cursor: { points: { size: 7 }, drag: { x: props.onRange !== undefined, y: false, setScale: false } },
    legend: { show: props.series.length > 1 || !bars, markers: { width: 0, fill: (_plot, index) => strokes[index - 1] ?? "" } },
    // the first and the last bar are as wide as the others
    scales: {
      x: { range: (_plot, min, max) => (bars ? [min - step(props.times) / 2, max + step(props.times) / 2] : [min, max]) },
      y: { range: (_plot, _min, max) => [0, props.top ?? (max > 0 ? max * 1.08 : 1)] },
    },
    ...(props.band && { bands: [{ series: [props.band[0] + 1, props.band[1] + 1] as [number, number], fill: `${strokes[props.band[0]]}24` }] }),
    axes: [
      { ...axis, size: 28, values: hours },
      { ...axis, size: 64, values: (_plot, values) => values.map((value) => (whole && value % 1 !== 0 ? "" : props.format(value))) },
    ],
    series: [
      { value: (_plot: uPlot, at: number | null) => (at === null ? "" : new Date(at * 1000).toLocaleString("en", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" })) },
      ...props.series.map((one, index) => {
        const stroke = strokes[index] ?? "";
        return {
          label: one.label,
          stroke,
          width: bars ? 0 : one.look ? 1.25 : 1.75,
          ...(one.look ? { dash: one.look === "guide" ? [2, 4] : [6, 4] } : { fill: `${stroke}${bars ? "cc" : "1c"}` }),
          points: { show: !one.look && hasLonePoints(one.values), size: 5, fill: stroke },
          value: (_plot: uPlot, value: number | null) => (value === null ? "–" : props.format(value)),
          ...(bars && { paths: bars }),
        };
      }),
    ],
    hooks: {
      setSelect: [
        (plot) => {
          if (plot.select.width < 4) return;
          props.onRange?.(plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x"));
        },
      ],
    },
  };
}

export default function Chart(props: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const theme = useShownTheme();
  const latest = useRef(props);
  useEffect(() => {
    latest.current = props;
  });
  const shape = `${theme}|${props.kind}|${props.height}|${props.top}|${props.series.map((one) => `${one.label} ${hasLonePoints(one.values)}`).join("|")}`;
  const plot = useRef<uPlot | null>(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const { times, series } = latest.current;
    const data = [times, ...series.map((one) => one.values)] as uPlot.AlignedData;
    const made = new uPlot(options(latest.current, element.clientWidth || 300), data, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: latest.current.height ?? 200 }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => {
    plot.current?.setData([props.times, ...props.series.map((one) => one.values)] as uPlot.AlignedData);
  }, [props.times, props.series]);
  return <div ref={box} role="img" aria-label={props.label} className="w-full overflow-hidden" />;
}
