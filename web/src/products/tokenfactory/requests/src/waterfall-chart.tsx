/** Where a request's time went, each part where it lay in the whole. */
import { tokensIn } from "@ironworks/sdk";
import { Section, Tip, cx, formatDuration } from "@ironworks/ui";

import type { Usage } from "./usage.ts";
import { lengthOf, partsOf, speedOf } from "./waterfall.ts";
import type { Part, PartId } from "./waterfall.ts";
import { t } from "./words.ts";

const COLOUR: Record<PartId, string> = {
  gateway: "bg-edge",
  book: "bg-edge",
  budget: "bg-warn",
  queue: "bg-warn",
  wake: "bg-warn",
  try: "bg-bad",
  connect: "bg-info",
  first: "bg-accent",
  stream: "bg-ok",
  answer: "bg-ok",
  whole: "bg-info",
  kept: "bg-info",
};

const NAME = {
  gateway: "partGateway", book: "partBook", budget: "partBudget", queue: "partQueue", wake: "partWake", try: "partTry", connect: "partConnect",
  first: "partFirst", stream: "partStream", answer: "partAnswer", whole: "partWhole", kept: "partKept",
} as const satisfies Record<PartId, string>;

/** Fractions of a millisecond are told where they are all there is. */
export const shortTime = (ms: number): string => (ms > 0 && ms < 10 ? `${ms.toFixed(ms < 1 ? 2 : 1)} ms` : formatDuration(ms));

export function Waterfall({ usage }: { usage: Usage }) {
  const { course } = usage;
  if (!course) {
    return (
      <Section title={t("waterfall")}>
        <p className="text-sm text-muted">{t("noCourse")}</p>
      </Section>
    );
  }
  const parts = partsOf(course, usage.cached_answer);
  const total = lengthOf(course);
  const speed = speedOf(course, tokensIn(usage.quantities, "output"));
  const older = !usage.cached_answer && course.asked_ms === null && course.steps.length === 0 && course.error === null;
  return (
    <Section title={t("waterfall")} hint={t("waterfallHint", { total: shortTime(total) })} flush>
      <ol className="py-2">
        {parts.map((part, index) => (
          <Row key={`${part.id} ${index}`} part={part} total={total} note={part.id === "stream" && speed !== null ? t("speed", { speed: speed.toFixed(speed < 10 ? 1 : 0) }) : part.whom} />
        ))}
      </ol>
      {older && <p className="border-t border-line px-4 py-2 text-xs text-faint">{t("older")}</p>}
    </Section>
  );
}

function Row({ part, total, note }: { part: Part; total: number; note: string | undefined }) {
  const left = total > 0 ? (part.from / total) * 100 : 0;
  const width = total > 0 ? ((part.until - part.from) / total) * 100 : 100;
  const span = `${shortTime(part.from)} – ${shortTime(part.until)}`;
  return (
    <li className="grid grid-cols-[minmax(0,1fr)_5rem] items-center gap-x-3 px-4 py-1 sm:grid-cols-[15rem_minmax(0,1fr)_5rem]">
      <span className={cx("min-w-0 text-xs", part.id === "try" ? "text-bad" : "text-muted")}>
        {t(NAME[part.id])}
        {note && <span className="block text-2xs break-words text-faint">{note}</span>}
      </span>
      <span className="nums text-right text-xs sm:order-3">{shortTime(part.until - part.from)}</span>
      <Tip text={span}>
        <span className="relative col-span-2 h-3 rounded-sm bg-raised sm:order-2 sm:col-span-1">
          <span
            className={cx("absolute inset-y-0 min-w-0.5 rounded-sm", COLOUR[part.id])}
            style={{ left: `${Math.min(left, 99.6)}%`, width: `${Math.min(width, 100 - Math.min(left, 99.6))}%` }}
          />
        </span>
      </Tip>
    </li>
  );
}
