/** Making a budget, and changing one: every choice says what it means before it is made. */
import { ApiError, createResource, patchResource, tell, useGo, usePlace, useQueryWord, useRemember, useResource, useResources } from "@ironworks/sdk";
import { Button, Callout, Choice, Combobox, Empty, Field, Input, Loading, Page, Section, cx, notify } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent, ReactNode } from "react";

import { PERIODS, PLURAL, SUBJECTS, budgetAddress, money, subjectOf } from "./types.ts";
import type { Budget, BudgetSpec, Subject } from "./types.ts";
import { t } from "./words.ts";

const COUNTS = { key: "countsKey", route: "countsRoute", endpoint: "countsEndpoint" } as const satisfies Record<Subject, string>;
const PLURALS: Record<Subject, string> = { key: "api-keys", route: "routes", endpoint: "endpoints" };
const FRESH: BudgetSpec = {
  amount: "", currency: "USD", period: "month", mode: "hard", on_failure: "closed", thresholds: [50, 80, 100], key: null, route: null, endpoint: null,
};

export default function FormPage() {
  const { params } = usePlace();
  const { at, name } = params;
  return at && name ? <Editing at={at} name={name} /> : <Form />;
}

function Editing({ at, name }: { at: string; name: string }) {
  const { data, error, isPending } = useResource(PLURAL, at, name);
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (isPending) return <Loading />;
  if (!data) return <Empty icon="search" title={t("gone", { name })}>{t("goneHint")}</Empty>;
  return <Form budget={data as unknown as Budget} />;
}

/** Percents as one writes them; null where that is none. */
export function readThresholds(text: string): number[] | null {
  const words = text.split(/[\s,;%]+/).filter(Boolean);
  const percents = words.map(Number);
  return percents.every((one) => Number.isInteger(one) && one >= 1 && one <= 1000) ? [...new Set(percents)].sort((a, b) => a - b) : null;
}

function Form({ budget }: { budget?: Budget }) {
  const { scope } = usePlace();
  const go = useGo();
  const remember = useRemember();
  const [name, setName] = useState(budget?.metadata.name ?? "");
  const [key] = useQueryWord("key"); // a key's page asks for its budget
  const [spec, setSpec] = useState<BudgetSpec>(budget?.spec ?? { ...FRESH, key: key || null });
  const [percents, setPercents] = useState(spec.thresholds.join(", "));
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>(null);
  const change = (some: Partial<BudgetSpec>) => setSpec({ ...spec, ...some });
  const thresholds = readThresholds(percents);
  const problemOf = (field: string) => (failure instanceof ApiError ? failure.problemOf(field) : undefined);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!thresholds) return;
    setBusy(true);
    setFailure(null);
    try {
      const wanted = { ...spec, thresholds };
      const { amount, period, mode, on_failure } = wanted;
      const saved = budget
        ? await patchResource(PLURAL, budget.metadata.scope, name, { spec: { amount, period, mode, on_failure, thresholds } })
        : await createResource(PLURAL, scope, { api_version: "v1", kind: "Budget", metadata: { name }, spec: { ...wanted } });
      remember(PLURAL, saved);
      notify("ok", t(budget ? "saved" : "made", { name }));
      go(budgetAddress(scope, saved as unknown as Budget));
    } catch (error) {
      setFailure(error);
      setBusy(false);
    }
  };
  return (
    <Page title={budget ? t("editTitle", { name }) : t("newTitle")}>
      <form onSubmit={(event) => void submit(event)} className="grid max-w-5xl items-start gap-4 lg:grid-cols-[minmax(0,3fr)_minmax(16rem,2fr)]">
        <Section>
          <div className="flex flex-col gap-5">
            {!budget && (
              <Field label={t("name")} hint={t("nameHint")} problem={problemOf("metadata.name")}>
                {(ids) => <Input {...ids} autoFocus required pattern="[a-z0-9]([\-a-z0-9]{0,61}[a-z0-9])?" value={name} onChange={(event) => setName(event.target.value)} />}
              </Field>
            )}
            {!budget && <Counts scope={scope} spec={spec} onChange={change} problem={problemOf("spec.key") ?? problemOf("spec.route") ?? problemOf("spec.endpoint")} />}
            <div className="grid gap-4 sm:grid-cols-[minmax(0,12rem)_minmax(0,1fr)]">
              <Field label={`${t("amount")} (${spec.currency})`} hint={t("amountHint")} problem={problemOf("spec.amount")}>
                {(ids) => (
                  <Input {...ids} required inputMode="decimal" pattern="[0-9]{1,10}(\.[0-9]{1,9})?" value={spec.amount} onChange={(event) => change({ amount: event.target.value.trim() })} />
                )}
              </Field>
              <Group label={t("period")}>
                <Choice label={t("period")} value={spec.period} onChange={(period) => change({ period })} options={PERIODS.map((value) => ({ value, label: t(value) }))} />
              </Group>
            </div>
            <Group label={t("modeLabel")}>
              <Two
                label={t("modeLabel")}
                value={spec.mode}
                onChange={(mode) => change({ mode })}
                options={[{ value: "hard", title: t("hardTitle"), hint: t("hardHint") }, { value: "soft", title: t("softTitle"), hint: t("softHint") }]}
              />
            </Group>
            {spec.mode === "hard" && (
              <Group label={t("failure")}>
                <Two
                  label={t("failure")}
                  value={spec.on_failure}
                  onChange={(on_failure) => change({ on_failure })}
                  options={[{ value: "closed", title: t("closedTitle"), hint: t("closedHint") }, { value: "open", title: t("openTitle"), hint: t("openHint") }]}
                />
              </Group>
            )}
            <Field label={t("thresholdsLabel")} hint={t("thresholdsField")} problem={thresholds ? problemOf("spec.thresholds") : t("thresholdsWrong")}>
              {(ids) => <Input {...ids} value={percents} onChange={(event) => setPercents(event.target.value)} />}
            </Field>
          </div>
        </Section>
        <Section>
          <div className="flex flex-col gap-4">
            <p className="text-sm">{preview(spec, scope)}</p>
            {failure !== null && (
              <Callout tone="bad">
                <span className="whitespace-pre-wrap">{tell(failure)}</span>
              </Callout>
            )}
            <Button type="submit" look="primary" busy={busy} disabled={!name || !spec.amount || !thresholds}>
              {budget ? t("save") : t("createAction")}
            </Button>
          </div>
        </Section>
      </form>
    </Page>
  );
}

function preview(spec: BudgetSpec, scope: string): string {
  const subject = subjectOf(spec);
  const counts = subject ? t(subject.kind, { name: subject.reference }) : t("allOf", { scope });
  const amount = /^\d+(\.\d+)?$/.test(spec.amount) ? money(spec.amount, spec.currency) : "…";
  return t(spec.mode === "hard" ? "previewHard" : "previewSoft", { amount, period: t(spec.period), counts });
}

const Group = ({ label, children }: { label: string; children: ReactNode }) => (
  <div className="flex min-w-0 flex-col items-start gap-1">
    <span className="text-xs font-medium text-muted">{label}</span>
    {children}
  </div>
);

interface CountsProps {
  scope: string;
  spec: BudgetSpec;
  onChange: (some: Partial<BudgetSpec>) => void;
  problem: string | undefined;
}

function Counts({ scope, spec, onChange, problem }: CountsProps) {
  const [kind, setKind] = useState<Subject | "all">(subjectOf(spec)?.kind ?? "all");
  const choose = (next: Subject | "all") => {
    setKind(next);
    onChange({ key: null, route: null, endpoint: null });
  };
  return (
    <div className="flex flex-col gap-2">
      <Group label={`${t("countsLabel")} · ${t("countsHint")}`}>
        <div className="thin-scroll max-w-full overflow-x-auto">
          <Choice
            label={t("countsLabel")}
            value={kind}
            onChange={choose}
            options={[{ value: "all" as const, label: t("countsAll") }, ...SUBJECTS.map((value) => ({ value, label: t(COUNTS[value]) }))]}
          />
        </div>
      </Group>
      {kind !== "all" && <One key={kind} kind={kind} scope={scope} value={spec[kind]} onChange={(reference) => onChange({ [kind]: reference })} />}
      {problem && (
        <p role="alert" className="text-xs text-bad">
          {problem}
        </p>
      )}
    </div>
  );
}

function One({ kind, scope, value, onChange }: { kind: Subject; scope: string; value: string | null; onChange: (reference: string) => void }) {
  const { items } = useResources(PLURALS[kind], scope, { inherited: kind !== "key" });
  const options = items.map(({ metadata }) => ({ value: `${metadata.scope}/${metadata.name}`, label: metadata.name, hint: metadata.scope }));
  return <Combobox label={t(COUNTS[kind])} value={value} options={options} onChange={onChange} placeholder={t("choose")} className="max-w-md" />;
}

interface TwoProps<T extends string> {
  label: string;
  value: T;
  onChange: (value: T) => void;
  options: { value: T; title: string; hint: string }[];
}

/** Two choices with what each means. */
function Two<T extends string>({ label, value, onChange, options }: TwoProps<T>) {
  return (
    <div role="radiogroup" aria-label={label} className="grid w-full gap-2 sm:grid-cols-2">
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          role="radio"
          aria-checked={option.value === value}
          onClick={() => onChange(option.value)}
          className={cx("rounded-md border px-3 py-2 text-left", option.value === value ? "border-accent bg-accent-soft" : "border-line hover:bg-hover")}
        >
          <span className="block text-sm font-medium">{option.title}</span>
          <span className="block text-xs text-muted">{option.hint}</span>
        </button>
      ))}
    </div>
  );
}
