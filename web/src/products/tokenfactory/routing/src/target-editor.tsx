/** One target of a route that is written: what serves it, its share, and what is seldom set. */
import { Badge, Combobox, Field, IconButton, Input } from "@ironworks/ui";
import type { Option } from "@ironworks/ui";
import { SchemaForm, problemsAt } from "@ironworks/ui/form";
import type { JsonSchema, Problem } from "@ironworks/ui/form";

import { encodeTarget, leadTo } from "./options.ts";
import { percent } from "./shares.ts";
import { targetLabel } from "./types.ts";
import type { Target } from "./types.ts";
import { t } from "./words.ts";

interface TargetEditorProps {
  target: Target;
  number: number;
  share: number | null;
  reserve: boolean;
  options: readonly Option[];
  schema: JsonSchema;
  problems: readonly Problem[];
  onChange: (target: Target) => void;
  onRemove: (() => void) | null;
  onUp: (() => void) | null;
}

const OWN = ["endpoint", "external", "model", "weight"];

export function TargetEditor({ target, number, share, reserve, options, schema, problems, onChange, onRemove, onUp }: TargetEditorProps) {
  const prefix = `targets[${number - 1}]`;
  const within = problems.filter(({ field }) => field.startsWith(`${prefix}.`)).map((one) => ({ ...one, field: one.field.slice(prefix.length + 1) }));
  const finer = within.filter(({ field }) => !OWN.includes(field));
  const place = ["endpoint", "external", "model"].map((name) => problemsAt(within, name)).find(Boolean) ?? problemsAt(problems, prefix);
  const value = encodeTarget(target);
  const known = !value || options.some((option) => option.value === value) ? options : [{ value, label: targetLabel(target) }, ...options];
  return (
    <div role="group" aria-label={t("target", { number })} className="flex flex-col gap-3 px-4 py-3">
      <div className="grid items-start gap-3 md:grid-cols-[minmax(0,1fr)_6rem_15rem]">
        <Field label={t("whatServes")} problem={place}>
          {(ids) => <Combobox id={ids.id} label={t("whatServes")} value={value || null} options={known} placeholder={t("chooseTarget")} onChange={(chosen) => onChange(leadTo(target, chosen))} />}
        </Field>
        <Field label={t("weight")} problem={problemsAt(within, "weight")}>
          {(ids) => (
            <Input
              {...ids}
              type="number"
              min={0}
              max={1000}
              required
              title={t("weightHint")}
              value={target.weight ?? 1}
              onChange={({ target: input }) => onChange({ ...target, weight: Math.round(Number(input.value)) })}
            />
          )}
        </Field>
        <div className="flex items-center gap-1 md:pt-5.5">
          <span className="flex-1">{reserve ? <Badge>{t("reserve")}</Badge> : share !== null && <Badge tone="info">{percent(share)}</Badge>}</span>
          {onUp && <IconButton size="small" icon="up" label={t("moveUp")} onClick={onUp} />}
          {onRemove && <IconButton size="small" icon="close" label={t("removeTarget", { number })} onClick={onRemove} />}
        </div>
      </div>
      <details {...(finer.length > 0 && { open: true })}>
        <summary className="w-fit rounded-md text-xs text-muted hover:text-ink">{t("finer")}</summary>
        <div className="mt-3">
          <SchemaForm schema={schema} value={target} onChange={(next) => onChange(next as Target)} problems={finer} without={OWN} />
        </div>
      </details>
    </div>
  );
}
