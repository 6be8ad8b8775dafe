/** How long something is to last, from a few choices: what a form sends is the moment of its end. */
import { Select } from "./field.tsx";
import { t } from "./words.ts";

const DAY_MS = 86_400_000;

interface LastingProps {
  id: string;
  /** Days; `""` is without an end. */
  value: string;
  onChange: (days: string) => void;
  lives: readonly number[];
  /** The word for what has no end. */
  endless?: string;
}

export const Lasting = ({ value, onChange, lives, endless = t("never"), ...ids }: LastingProps) => (
  <Select {...ids} className="w-full" value={value} onChange={(event) => onChange(event.target.value)}>
    <option value="">{endless}</option>
    {lives.map((life) => (
      <option key={life} value={life}>
        {t("days", { count: life })}
      </option>
    ))}
  </Select>
);

/** When that is, from now on; null for what has no end. */
export const endOf = (days: string, now = Date.now()): string | null => (days ? new Date(now + Number(days) * DAY_MS).toISOString() : null);
