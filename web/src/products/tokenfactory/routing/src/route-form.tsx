/** A route as a form: its name, how a target is chosen, the targets with their shares. */
import { ApiError, tell, useKindDetail } from "@ironworks/sdk";
import type { FieldProblem } from "@ironworks/sdk";
import { Button, Callout, Field, Input, Loading, Section, cx } from "@ironworks/ui";
import { SchemaForm, problemsAt } from "@ironworks/ui/form";
import type { JsonSchema } from "@ironworks/ui/form";
import { useMemo } from "react";
import type { ReactNode } from "react";

import { useTargetOptions } from "./options.ts";
import { isReserve, sharesOf } from "./shares.ts";
import { TargetEditor } from "./target-editor.tsx";
import { ROUTES, STRATEGIES } from "./types.ts";
import type { RouteSpec, Strategy, Target } from "./types.ts";
import { strategyMeaning, strategyName, t } from "./words.ts";

interface RouteFormProps {
  at: string;
  /** Left out where it cannot change any more. */
  name?: { value: string; onChange: (name: string) => void };
  spec: RouteSpec;
  onSpec: (spec: RouteSpec) => void;
  failure: unknown;
  onSubmit: () => void;
  actions: ReactNode;
}

const SHOWN = /^(metadata\.name$|spec\.(model|targets|strategy|tries|cache)\b)/;

export function RouteForm({ at, name, spec, onSpec, failure, onSubmit, actions }: RouteFormProps) {
  const kind = useKindDetail(ROUTES);
  const fields = useMemo(() => (failure instanceof ApiError ? failure.fields : []), [failure]);
  const problems = useMemo(() => fields.map((one) => ({ ...one, field: one.field.replace(/^spec\./, "") })), [fields]);
  if (!kind) return <Loading />;
  const elsewhere = failure !== null && (fields.length === 0 || fields.some(({ field }) => !SHOWN.test(field)));
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
    >
      {elsewhere && (
        <Callout tone="bad">
          <span className="whitespace-pre-wrap">{tell(failure)}</span>
        </Callout>
      )}
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,28rem)]">
        <div className="flex min-w-0 flex-col gap-4">
          <Section>
            <div className="grid gap-4 md:grid-cols-2">
              {name && (
                <Field label={t("name")} hint={t("nameHint")} problem={problemsAt(fields, "metadata.name")}>
                  {(ids) => <Input {...ids} autoFocus required value={name.value} onChange={(event) => name.onChange(event.target.value)} />}
                </Field>
              )}
              <Field label={t("callersName")} hint={t("callersHint")} optional={t("optional")} problem={problemsAt(problems, "model")}>
                {(ids) => (
                  <Input
                    {...ids}
                    spellCheck={false}
                    placeholder={name?.value}
                    value={spec.model ?? ""}
                    onChange={(event) => onSpec({ ...spec, model: event.target.value || null })}
                  />
                )}
              </Field>
            </div>
          </Section>
          <Targets at={at} spec={spec} onSpec={onSpec} problems={problems} schema={kind.spec_schema} />
          <Section title={t("more")}>
            <SchemaForm schema={kind.spec_schema} value={spec} onChange={(next) => onSpec(next as RouteSpec)} problems={problems} without={["model", "targets", "strategy"]} />
          </Section>
        </div>
        <Section title={t("chooseStrategy")} flush>
          <StrategyChoice value={spec.strategy ?? "weighted"} onChange={(strategy) => onSpec({ ...spec, strategy })} />
        </Section>
      </div>
      <div className="flex justify-end gap-2">{actions}</div>
    </form>
  );
}

function StrategyChoice({ value, onChange }: { value: Strategy; onChange: (strategy: Strategy) => void }) {
  return (
    <div role="radiogroup" aria-label={t("chooseStrategy")} className="divide-y divide-line">
      {STRATEGIES.map((strategy) => (
        <button
          key={strategy}
          type="button"
          role="radio"
          aria-checked={strategy === value}
          onClick={() => onChange(strategy)}
          className={cx("flex w-full items-start gap-3 px-4 py-2.5 text-left", strategy === value ? "bg-accent-soft" : "hover:bg-hover")}
        >
          <span className={cx("mt-0.75 size-3.5 shrink-0 rounded-full border", strategy === value ? "border-4 border-accent" : "border-edge")} />
          <span className="min-w-0">
            <span className="block text-sm font-medium">{strategyName(strategy)}</span>
            <span className="block text-xs text-muted">{strategyMeaning(strategy)}</span>
          </span>
        </button>
      ))}
    </div>
  );
}

interface TargetsProps {
  at: string;
  spec: RouteSpec;
  onSpec: (spec: RouteSpec) => void;
  problems: readonly FieldProblem[];
  schema: JsonSchema;
}

function Targets({ at, spec, onSpec, problems, schema }: TargetsProps) {
  const { options, loading } = useTargetOptions(at);
  const { targets, strategy = "weighted" } = spec;
  const shares = sharesOf(targets, strategy);
  const one = useMemo(() => targetSchema(schema), [schema]);
  const set = (next: Target[]) => onSpec({ ...spec, targets: next });
  const problem = problemsAt(problems, "targets");
  return (
    <Section title={t("targets")} flush>
      {!loading && options.length === 0 && (
        <div className="p-4 pb-0">
          <Callout tone="info">{t("addTargets")}</Callout>
        </div>
      )}
      {problem && (
        <p role="alert" className="px-4 pt-3 text-xs text-bad">
          {problem}
        </p>
      )}
      <div className="divide-y divide-line">
        {targets.map((target, index) => (
          <TargetEditor
            key={index}
            target={target}
            number={index + 1}
            share={shares[index] ?? null}
            reserve={isReserve(target, targets)}
            options={options}
            schema={one}
            problems={problems}
            onChange={(next) => set(targets.map((other, at) => (at === index ? next : other)))}
            onRemove={targets.length > 1 ? () => set(targets.filter((_, at) => at !== index)) : null}
            onUp={index > 0 ? () => set(raised(targets, index)) : null}
          />
        ))}
        <div className="px-4 py-3">
          <Button icon="plus" onClick={() => set([...targets, { weight: 1 }])}>
            {t("addTarget")}
          </Button>
        </div>
      </div>
    </Section>
  );
}

function raised(targets: readonly Target[], index: number): Target[] {
  const copy = [...targets];
  copy.splice(index - 1, 0, ...copy.splice(index, 1));
  return copy;
}

/** The schema of one target, with what it refers to. */
function targetSchema(schema: JsonSchema): JsonSchema {
  const definitions = schema["$defs"] as Record<string, JsonSchema>;
  return { ...definitions["RouteTarget"], $defs: definitions };
}
