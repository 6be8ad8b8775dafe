/** The limits that count a key's calls, and setting one for it alone. */
import { Link, createResource, freeName, resourceAddress, tell, useCan, usePlace, useRemember, useResources, useWriting } from "@ironworks/sdk";
import { Button, Callout, Dialog, Field, Input, Section, notify } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { limitsOf, wordsOf } from "./limits.ts";
import type { Limit } from "./limits.ts";
import type { Key } from "./types.ts";
import { t } from "./words.ts";

const PLURAL = "limits";

export function Limits({ item }: { item: Key }) {
  const can = useCan();
  const { scope: at } = item.metadata;
  const [setting, setSetting] = useState(false);
  const limits = useResources<Limit>(PLURAL, at, { inherited: true });
  const { own, around } = limitsOf(item, limits.items);
  return (
    <Section
      title={t("limits")}
      hint={t("limitsHint")}
      flush={own.length + around.length > 0}
      actions={
        can("limit:create", at) && (
          <Button small icon="plus" onClick={() => setSetting(true)}>
            {t("limitIt")}
          </Button>
        )
      }
    >
      {own.length + around.length === 0 ? (
        <p className="text-sm text-faint">{t(limits.error ? "limitsUnread" : "noLimits")}</p>
      ) : (
        <ul className="divide-y divide-line">
          {[...own, ...around].map((limit) => (
            <Line key={limit.metadata.uid} limit={limit} own={own.includes(limit)} />
          ))}
        </ul>
      )}
      {setting && <LimitDialog item={item} taken={limits.items} onClose={() => setSetting(false)} />}
    </Section>
  );
}

function Line({ limit, own }: { limit: Limit; own: boolean }) {
  const { scope } = usePlace();
  const { name, scope: at } = limit.metadata;
  return (
    <li className="flex flex-wrap items-baseline gap-x-3 gap-y-0.5 px-4 py-2 text-sm">
      <Link to={resourceAddress(scope, PLURAL, at, name)} className="font-medium hover:underline">
        {name}
      </Link>
      <span className="min-w-0 flex-1">{wordsOf(limit)}</span>
      {!own && <span className="text-xs text-faint">{t("sharedBy", { scope: at === "-" ? t("installation") : at })}</span>}
    </li>
  );
}

const NUMBERS = ["requests_per_minute", "tokens_per_minute", "concurrency"] as const;

function LimitDialog({ item, taken, onClose }: { item: Key; taken: readonly Limit[]; onClose: () => void }) {
  const remember = useRemember();
  const { busy, failure, run } = useWriting();
  const [numbers, setNumbers] = useState<Partial<Record<(typeof NUMBERS)[number], string>>>({});
  const [models, setModels] = useState("");
  const { name: key, scope } = item.metadata;
  const allowed_models = models.split(/[\s,]+/).filter(Boolean);
  const counts = Object.fromEntries(NUMBERS.flatMap((field) => (numbers[field] ? [[field, Number(numbers[field])]] : [])));
  const says = Object.keys(counts).length + allowed_models.length > 0;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const name = freeName(key, taken.filter(({ metadata }) => metadata.scope === scope).map(({ metadata }) => metadata.name));
      const spec = { key, ...counts, ...(allowed_models.length > 0 && { allowed_models }) };
      remember(PLURAL, await createResource(PLURAL, scope, { api_version: "v1", kind: "Limit", metadata: { name }, spec }));
      notify("ok", t("limited", { name: key }));
      onClose();
    });
  };
  return (
    <Dialog open onClose={onClose} title={t("limitTitle", { name: key })}>
      <form className="flex flex-col gap-4" onSubmit={submit}>
        {NUMBERS.map((field, index) => (
          <Field key={field} label={t(field)}>
            {(ids) => (
              <Input
                {...ids} type="number" min={1} step={1} autoFocus={index === 0} placeholder={t("unlimited")} value={numbers[field] ?? ""}
                onChange={(event) => setNumbers({ ...numbers, [field]: event.target.value })}
              />
            )}
          </Field>
        ))}
        <Field label={t("allowedModels")} hint={t("allowedModelsHint")}>
          {(ids) => <Input {...ids} placeholder={t("anyModel")} value={models} onChange={(event) => setModels(event.target.value)} />}
        </Field>
        {failure !== null && <Callout tone="bad">{tell(failure)}</Callout>}
        <Button type="submit" look="primary" busy={busy} disabled={!says}>
          {t("limitIt")}
        </Button>
      </form>
    </Dialog>
  );
}
