/** Which of a provider's models callers may use, and under which names. */
import { Button, IconButton, Input } from "@ironworks/ui";
import { useState } from "react";

import { exposedAs } from "./connection.ts";
import type { Exposed } from "./connection.ts";
import { t } from "./words.ts";

interface PickerProps {
  offers: readonly string[];
  models: readonly Exposed[];
  onChange: (models: Exposed[]) => void;
}

const SHOWN = 60;

export function ModelPicker({ offers, models, onChange }: PickerProps) {
  const toggle = (called: string, on: boolean) =>
    onChange(on ? [...models, { called, name: exposedAs(called) }] : models.filter((model) => model.called !== called));
  return (
    <div className="grid items-start gap-4 lg:grid-cols-2">
      <div className="flex min-w-0 flex-col gap-3">
        {offers.length > 0 && <Offers offers={offers} chosen={new Set(models.map(({ called }) => called))} onToggle={toggle} />}
        <ByName onAdd={(called) => !models.some((model) => model.called === called) && toggle(called, true)} />
      </div>
      {models.length > 0 && (
        <ul className="flex min-w-0 flex-col gap-2">
          {models.map((model, index) => (
            <li key={model.called} className="grid grid-cols-[minmax(0,1fr)_minmax(0,1fr)_auto] items-center gap-2">
              <span className="clip-line font-mono text-xs" title={model.called}>
                {model.called}
              </span>
              <Input
                aria-label={`${t("exposeAs")}: ${model.called}`}
                className="font-mono text-xs"
                spellCheck={false}
                value={model.name}
                onChange={(event) => onChange(models.map((other, at) => (at === index ? { ...other, name: event.target.value } : other)))}
              />
              <IconButton size="small" icon="close" label={t("remove", { name: model.called })} onClick={() => toggle(model.called, false)} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Offers({ offers, chosen, onToggle }: { offers: readonly string[]; chosen: ReadonlySet<string>; onToggle: (called: string, on: boolean) => void }) {
  const [typed, setTyped] = useState("");
  const found = offers.filter((offer) => offer.toLowerCase().includes(typed.trim().toLowerCase()));
  return (
    <div className="overflow-hidden rounded-md border border-line">
      {offers.length > 8 && (
        <input
          aria-label={t("filterModels", { count: offers.length })}
          placeholder={`${t("filterModels", { count: offers.length })}…`}
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
          className="h-8 w-full border-b border-line bg-transparent px-3 text-sm outline-none placeholder:text-faint"
        />
      )}
      <ul className="thin-scroll max-h-64 overflow-y-auto py-1">
        {found.slice(0, SHOWN).map((offer) => (
          <li key={offer}>
            <label className="flex items-center gap-2 px-3 py-1 hover:bg-hover">
              <input type="checkbox" className="accent-accent" checked={chosen.has(offer)} onChange={(event) => onToggle(offer, event.target.checked)} />
              <span className="clip-line font-mono text-xs">{offer}</span>
            </label>
          </li>
        ))}
      </ul>
      {found.length > SHOWN && <p className="border-t border-line px-3 py-1.5 text-xs text-faint">{t("manyMore", { count: found.length - SHOWN })}</p>}
    </div>
  );
}

function ByName({ onAdd }: { onAdd: (called: string) => void }) {
  const [typed, setTyped] = useState("");
  const add = () => {
    if (!typed.trim()) return;
    onAdd(typed.trim());
    setTyped("");
  };
  return (
    <div className="flex gap-1">
      <Input
        aria-label={t("addModel")}
        placeholder={t("addModelHint")}
        className="font-mono text-xs"
        spellCheck={false}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          event.preventDefault();
          add();
        }}
      />
      <Button icon="plus" disabled={!typed.trim()} onClick={add}>
        {t("add")}
      </Button>
    </div>
  );
}
