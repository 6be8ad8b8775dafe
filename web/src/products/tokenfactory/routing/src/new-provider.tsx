/** From a provider's name to its models: who it is, a look whether it answers, what is exposed of it. */
import { ApiError, createResource, tell, useCan, useGo, usePlace, useRemember, useWriting } from "@ironworks/sdk";
import { Badge, Button, Callout, Field, Input, Page, PasswordInput, Section, Select, cx, notify } from "@ironworks/ui";
import { problemsAt } from "@ironworks/ui/form";
import type { Problem } from "@ironworks/ui/form";
import { useMemo, useState } from "react";

import { check, connectionOf, specOf } from "./connection.ts";
import type { Connection, Exposed, Found } from "./connection.ts";
import { ModelPicker } from "./model-picker.tsx";
import { PRESETS } from "./presets.ts";
import type { Preset } from "./presets.ts";
import { EXTERNALS, providerAddress } from "./types.ts";
import type { Dialect, Upstream } from "./types.ts";
import { t } from "./words.ts";

export default function NewProvider() {
  const [preset, setPreset] = useState<Preset | null>(null);
  return (
    <Page title={t("addProvider")}>
      <Section title={t("chooseProvider")}>
        <div role="radiogroup" aria-label={t("chooseProvider")} className="flex flex-wrap gap-2">
          {PRESETS.map((one) => (
            <button
              key={one.id}
              type="button"
              role="radio"
              aria-checked={one === preset}
              onClick={() => setPreset(one)}
              className={cx("flex items-center gap-2 rounded-md border px-3 py-2 text-sm", one === preset ? "border-accent bg-accent-soft" : "border-line hover:bg-hover")}
            >
              {one.label}
              {one.own && <Badge>{t("onYourOwn")}</Badge>}
            </button>
          ))}
        </div>
      </Section>
      {preset && <Rest key={preset.id} preset={preset} />}
    </Page>
  );
}

function Rest({ preset }: { preset: Preset }) {
  const { scope } = usePlace();
  const can = useCan();
  const go = useGo();
  const remember = useRemember();
  const [name, setName] = useState(preset.id === "other" ? "" : preset.id);
  const [connection, setConnection] = useState<Connection>(() => connectionOf(preset));
  const [models, setModels] = useState<Exposed[]>([]);
  const [found, setFound] = useState<Found | null>(null);
  const looking = useWriting();
  const saving = useWriting();
  const mayCheck = can("external-endpoint:test", scope);
  const change = (next: Partial<Connection>) => {
    setConnection({ ...connection, ...next });
    setFound(null);
  };
  const look = () => looking.run(async () => setFound(await check(scope, connection)));
  const save = async () => {
    const made = await createResource(EXTERNALS, scope, { api_version: "v1", kind: "ExternalEndpoint", metadata: { name }, spec: specOf(connection, models) });
    remember(EXTERNALS, made);
    notify("ok", t("addedProvider", { name }));
    go(providerAddress(scope, made));
  };
  /** Looked at first, where nobody did; what fails then is shown, and may be saved all the same. */
  const submit = () =>
    saving.run(async () => {
      const seen = found ?? (mayCheck ? await check(scope, connection) : null);
      setFound(seen);
      if (seen === null || seen.works || found !== null) await save();
    });
  const failure = saving.failure ?? looking.failure;
  const fields = useMemo(() => problemsOf(failure), [failure]);
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <Section
        title={t("connection")}
        actions={
          mayCheck && (
            <Button icon="plug" busy={looking.busy} onClick={() => void look()}>
              {t("checkConnection")}
            </Button>
          )
        }
      >
        <div className="flex flex-col gap-4">
          <ConnectionFields name={name} onName={setName} connection={connection} onChange={change} fields={fields} />
          {failure !== null && !fields.some(({ field }) => FIELDS.includes(field)) && <Callout tone="bad">{tell(failure)}</Callout>}
          {found && <Finding found={found} />}
        </div>
      </Section>
      <Section title={t("chooseModels")} hint={t("chooseModelsHint")}>
        <ModelPicker offers={found?.offers ?? []} models={models} onChange={setModels} />
      </Section>
      <div className="flex items-center justify-end gap-3">
        {models.length === 0 && <span className="text-xs text-faint">{t("needsModel")}</span>}
        <Button type="submit" look="primary" busy={saving.busy} disabled={models.length === 0 || !name}>
          {found && !found.works ? t("saveAnyway") : t("saveProvider", { name: name || preset.label })}
        </Button>
      </div>
    </form>
  );
}

const FIELDS = ["metadata.name", "url", "dialect", "auth.type", "auth.credential"];

function problemsOf(failure: unknown): Problem[] {
  const fields = failure instanceof ApiError ? failure.fields : [];
  return fields.map((one) => ({ ...one, field: one.field.replace(/^spec\.upstreams\[0\]\./, "") }));
}

function Finding({ found }: { found: Found }) {
  if (!found.works) {
    return (
      <Callout tone="bad" title={t("failedCheck")}>
        {found.problem}
      </Callout>
    );
  }
  return <Callout tone="ok">{found.offers.length > 0 ? t("connected", { count: found.offers.length }) : t("connectedSilent")}</Callout>;
}

interface FieldsProps {
  name: string;
  onName: (name: string) => void;
  connection: Connection;
  onChange: (change: Partial<Connection>) => void;
  fields: readonly Problem[];
}

function ConnectionFields({ name, onName, connection, onChange, fields }: FieldsProps) {
  return (
    <div className="grid gap-4 md:grid-cols-2">
      <Field label={t("name")} hint={t("nameHint")} problem={problemsAt(fields, "metadata.name")}>
        {(ids) => <Input {...ids} required spellCheck={false} value={name} onChange={(event) => onName(event.target.value)} />}
      </Field>
      <Field label={t("address")} problem={problemsAt(fields, "url")}>
        {(ids) => <Input {...ids} required spellCheck={false} value={connection.url} onChange={(event) => onChange({ url: event.target.value })} />}
      </Field>
      <Field label={t("credential")} hint={t("credentialHint")} problem={problemsAt(fields, "auth.credential")}>
        {(ids) => <PasswordInput {...ids} autoComplete="off" spellCheck={false} value={connection.credential} onChange={(event) => onChange({ credential: event.target.value })} />}
      </Field>
      <div className="grid grid-cols-2 gap-4">
        <Field label={t("dialect")}>
          {(ids) => (
            <Select {...ids} className="w-full" value={connection.dialect} onChange={(event) => onChange({ dialect: event.target.value as Dialect })}>
              <option value="openai">OpenAI</option>
              <option value="anthropic">Anthropic</option>
            </Select>
          )}
        </Field>
        <Field label={t("showAs")}>
          {(ids) => (
            <Select {...ids} className="w-full" value={connection.auth} onChange={(event) => onChange({ auth: event.target.value as Upstream["auth"]["type"] })}>
              <option value="bearer">{t("bearer")}</option>
              <option value="api_key">{t("apiKey")}</option>
            </Select>
          )}
        </Field>
      </div>
    </div>
  );
}
