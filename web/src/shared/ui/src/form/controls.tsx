/** Single values: text, numbers with their units, choices, secrets, references, moments, any JSON. */
import { useState } from "react";

import { Combobox } from "../combobox.tsx";
import { Input, PasswordInput, Select, Textarea } from "../field.tsx";
import { words } from "../format.ts";
import { t } from "./words.ts";
import { useForm } from "./context.ts";
import { declaredName, valueAt } from "./schema.ts";
import type { Path, Shape } from "./schema.ts";
import { fittingUnit, fromLocal, measureOf, parseAny, showAny, splitQuantity, toLocal } from "./units.ts";
import type { Measure } from "./units.ts";

export interface ControlProps {
  shape: Shape;
  path: Path;
  label: string;
  required: boolean;
  disabled: boolean;
  ids: { id: string; "aria-label"?: string; "aria-describedby"?: string | undefined; "aria-invalid"?: boolean | undefined };
}

const MASK = "***";

/** What a text field of a document holds when it was cleared. */
const emptied = (text: string, { required }: ControlProps): unknown => (text === "" && !required ? undefined : text);

const shown = (value: unknown): string => (value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value as string | number));

export function Control(props: ControlProps) {
  const { hints } = useForm();
  const { shape, path } = props;
  const declared = declaredName(path);
  const kind = hints.references?.[declared] ?? (shape.type === "text" ? shape.suggests : "");
  if (kind) return <ReferenceControl {...props} kind={kind} />;
  if (hints.secrets?.includes(declared)) return <SecretControl {...props} />;
  if (shape.type === "choice") return <ChoiceControl {...props} />;
  const name = String(path.findLast((step) => typeof step === "string") ?? "");
  const measure = measureOf(name, shape.type === "text" ? shape.format : "");
  if (shape.type === "number") return <NumberControl {...props} measure={measure} />;
  if (shape.type === "text") return <TextControl {...props} measure={measure} />;
  return <AnyControl {...props} />;
}

function useValue(path: Path): [unknown, (next: unknown) => void] {
  const form = useForm();
  return [valueAt(form.value, path), (next) => form.set(path, next)];
}

function ReferenceControl({ kind, shape, ids, label, path, required, disabled }: ControlProps & { kind: string }) {
  const { useOptions } = useForm();
  const [value, set] = useValue(path);
  const options = useOptions(kind);
  const current = shown(value);
  const known = options.some((option) => option.value === current) || current === "" ? options : [{ value: current, label: current }, ...options];
  return (
    <Combobox
      id={ids.id}
      label={label}
      disabled={disabled}
      value={current || null}
      options={required ? known : [{ value: "", label: shown(shape.default) ? t("byDefault", { value: shown(shape.default) }) : t("noneOf", { kind: words(kind).toLowerCase() }) }, ...known]}
      onChange={(next) => set(next || undefined)}
      placeholder={shown(shape.default) || t("choose")}
      free
    />
  );
}

/** A secret reads back as a mask, and the mask written back keeps it; it is never shown again. */
function SecretControl({ ids, path, disabled }: ControlProps) {
  const { first } = useForm();
  const [value, set] = useValue(path);
  const kept = valueAt(first, path) === MASK;
  return (
    <PasswordInput
      {...ids}
      autoComplete="off"
      spellCheck={false}
      disabled={disabled}
      value={value === MASK ? "" : shown(value)}
      placeholder={kept ? t("secretKept") : undefined}
      onChange={(event) => set(event.target.value || (kept ? MASK : undefined))}
    />
  );
}

function ChoiceControl({ shape, ids, path, required, disabled }: ControlProps) {
  const [value, set] = useValue(path);
  if (shape.type !== "choice") return null;
  const byDefault = shape.default === undefined || shape.default === null ? t("notSet") : t("byDefault", { value: words(shown(shape.default)) });
  return (
    <Select
      {...ids}
      className="w-full"
      disabled={disabled}
      required={required}
      value={shown(value)}
      onChange={(event) => set(shape.options.find((option) => String(option) === event.target.value))}
    >
      {(!required || value === undefined) && <option value="">{required ? t("choose") : byDefault}</option>}
      {shape.options.map((option) => (
        <option key={option} value={option}>
          {typeof option === "string" ? words(option) : option}
        </option>
      ))}
    </Select>
  );
}

function NumberControl(props: ControlProps & { measure: Measure | null }) {
  const { shape, ids, path, disabled, required, measure } = props;
  const [value, set] = useValue(path);
  const [unit, setUnit] = useState(() => (measure?.type === "scaled" ? fittingUnit(value ?? shape.default, measure.units) : null));
  if (shape.type !== "number") return null;
  const size = unit?.size ?? 1;
  const scaled = (number: unknown) => (typeof number === "number" ? String(Number((number / size).toPrecision(12))) : shown(number));
  const input = (
    <Input
      {...ids}
      type="number"
      inputMode={shape.whole ? "numeric" : "decimal"}
      step={shape.whole && size === 1 ? 1 : "any"}
      min={shape.least === null ? undefined : shape.least / size}
      max={shape.most === null ? undefined : shape.most / size}
      required={required}
      disabled={disabled}
      value={scaled(value)}
      placeholder={scaled(shape.default)}
      onChange={({ target }) => set(target.value === "" ? undefined : Number((Number(target.value) * size).toPrecision(15)))}
    />
  );
  if (measure?.type === "scaled" && unit) {
    return (
      <WithUnit
        unit={unit.id}
        units={measure.units}
        label={props.label}
        disabled={disabled}
        onUnit={(id) => setUnit(measure.units.find((one) => one.id === id) ?? unit)}
      >
        {input}
      </WithUnit>
    );
  }
  if (measure?.type === "fixed") return <WithText text={measure.unit}>{input}</WithText>;
  const share = typeof value === "number" ? value : shape.default;
  if (measure?.type === "fraction" && typeof share === "number") return <WithText text={`= ${Number((share * 100).toPrecision(6))} %`}>{input}</WithText>;
  return input;
}

const LONG_TEXT = 300;

function TextControl(props: ControlProps & { measure: Measure | null }) {
  const { shape, ids, path, disabled, required, measure } = props;
  const form = useForm();
  const [value, set] = useValue(path);
  if (shape.type !== "text") return null;
  const common = { ...ids, disabled, required, value: shown(value), placeholder: shown(shape.default), spellCheck: false };
  if (measure?.type === "quantity") {
    const { number, unit } = splitQuantity(shown(value), measure.units);
    return <QuantityControl {...props} number={number} unit={unit} units={measure.units} onChange={set} />;
  }
  if (shape.format === "date-time") {
    return <Input {...common} type="datetime-local" value={toLocal(value)} onChange={(event) => set(fromLocal(event.target.value))} />;
  }
  const name = String(path.at(-1));
  if (shape.longest !== null && shape.longest >= LONG_TEXT && /description|text|message/.test(name)) {
    return <Textarea {...common} spellCheck rows={2} maxLength={shape.longest} onChange={(event) => set(emptied(event.target.value, props))} />;
  }
  const input = <Input {...common} maxLength={shape.longest ?? undefined} onChange={(event) => set(emptied(event.target.value, props))} />;
  const currency = name === "amount" ? valueAt(form.value, [...path.slice(0, -1), "currency"]) : undefined;
  return shape.format === "money" ? <WithText text={shown(currency) || "USD"}>{input}</WithText> : input;
}

interface QuantityProps extends ControlProps {
  number: string;
  unit: string;
  units: readonly { id: string; label: string }[];
  onChange: (next: unknown) => void;
}

function QuantityControl({ ids, label, disabled, required, number, unit, units, onChange }: QuantityProps) {
  const [chosen, setChosen] = useState(unit);
  const shownUnit = number ? unit : chosen;
  return (
    <WithUnit
      unit={shownUnit}
      units={units}
      label={label}
      disabled={disabled}
      onUnit={(id) => {
        setChosen(id);
        if (number) onChange(`${number}${id}`);
      }}
    >
      <Input
        {...ids}
        inputMode="decimal"
        required={required}
        disabled={disabled}
        value={number}
        onChange={({ target }) => onChange(target.value ? `${target.value.trim()}${shownUnit}` : undefined)}
      />
    </WithUnit>
  );
}

/** Any JSON: kept as it is typed until it is left, so that a text on its way to a number stays what one sees. */
function AnyControl({ ids, path, disabled, shape }: ControlProps) {
  const [value, set] = useValue(path);
  const [typed, setTyped] = useState<string | null>(null);
  return (
    <Input
      {...ids}
      className="font-mono text-xs"
      disabled={disabled}
      spellCheck={false}
      value={typed ?? showAny(value ?? undefined)}
      placeholder={showAny(shape.default ?? undefined)}
      onChange={({ target }) => {
        setTyped(target.value);
        set(parseAny(target.value));
      }}
      onBlur={() => setTyped(null)}
    />
  );
}

interface WithUnitProps {
  unit: string;
  units: readonly { id: string; label: string }[];
  label: string;
  disabled: boolean;
  onUnit: (id: string) => void;
  children: React.ReactNode;
}

function WithUnit({ unit, units, label, disabled, onUnit, children }: WithUnitProps) {
  return (
    <span className="grid grid-cols-[minmax(0,1fr)_auto] gap-1">
      {children}
      <Select aria-label={t("unitOf", { field: label })} disabled={disabled} value={unit} onChange={(event) => onUnit(event.target.value)}>
        {units.map((one) => (
          <option key={one.id} value={one.id}>
            {one.label}
          </option>
        ))}
      </Select>
    </span>
  );
}

const WithText = ({ text, children }: { text: string; children: React.ReactNode }) => (
  <span className="grid grid-cols-[minmax(0,1fr)_auto] items-center gap-2">
    {children}
    <span className="text-xs text-muted">{text}</span>
  </span>
);
