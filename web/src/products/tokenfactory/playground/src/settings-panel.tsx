/** How the models are asked. What is typed counts once it makes sense, and is kept in the address. */
import { useQueryString } from "@ironworks/sdk";
import { Button, Field, Input, Switch, Textarea } from "@ironworks/ui";
import { useState } from "react";

import { BOUNDS, NUMBERS, numberOf } from "./settings.ts";
import type { NumberName } from "./settings.ts";
import { t } from "./words.ts";

const NAMES = ["system", "stop", "json", ...NUMBERS];

export function SettingsPanel() {
  const [query, set] = useQueryString();
  const [round, setRound] = useState(0);
  const changed = NAMES.some((name) => query.has(name));
  const reset = () => {
    set(Object.fromEntries(NAMES.map((name) => [name, undefined])));
    setRound(round + 1);
  };
  return (
    <div key={round} className="flex flex-col gap-4">
      <TextSetting name="system" label={t("system")} hint={t("systemHint")} rows={5} value={query.get("system") ?? ""} onChange={(system) => set({ system })} />
      <div className="grid grid-cols-2 gap-3">
        {NUMBERS.map((name) => (
          <NumberSetting key={name} name={name} value={query.get(name) ?? ""} onChange={(value) => set({ [name]: value })} />
        ))}
      </div>
      <TextSetting name="stop" label={t("stop")} hint={t("stopHint")} rows={2} value={query.get("stop") ?? ""} onChange={(stop) => set({ stop })} />
      <Switch checked={query.get("json") === "1"} onChange={(on) => set({ json: on ? "1" : undefined })} label={t("json")} hint={t("jsonHint")} />
      <Button small disabled={!changed} onClick={reset} icon="undo">
        {t("reset")}
      </Button>
    </div>
  );
}

interface TextProps {
  name: string;
  label: string;
  hint: string;
  rows: number;
  value: string;
  onChange: (value: string) => void;
}

function TextSetting({ name, label, hint, rows, value, onChange }: TextProps) {
  const [typed, setTyped] = useState(value);
  return (
    <Field label={label} hint={hint}>
      {(ids) => (
        <Textarea {...ids} name={name} rows={rows} value={typed} onChange={(event) => setTyped(event.target.value)} onBlur={() => onChange(typed.trim())} />
      )}
    </Field>
  );
}

function NumberSetting({ name, value, onChange }: { name: NumberName; value: string; onChange: (value: string) => void }) {
  const [typed, setTyped] = useState(value);
  const { min, max, step } = BOUNDS[name];
  const wrong = typed.trim() !== "" && numberOf(name, typed) === null;
  return (
    <Field label={t(name)} hint={t(`${name}Hint`)} problem={wrong ? t("bounds", { min, max: max.toLocaleString("en") }) : undefined}>
      {(ids) => (
        <Input
          {...ids}
          name={name}
          type="number"
          inputMode="decimal"
          min={min}
          max={max}
          step={step}
          placeholder={t("modelsOwn")}
          value={typed}
          onChange={(event) => {
            setTyped(event.target.value);
            if (event.target.value === "" || numberOf(name, event.target.value) !== null) onChange(event.target.value);
          }}
        />
      )}
    </Field>
  );
}
