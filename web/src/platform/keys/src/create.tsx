/** Making a key, and showing it the one time that it is known. */
import { createResource, tell, useRemember } from "@ironworks/sdk";
import { Button, Callout, CodeBlock, Dialog, Field, Input, Lasting, Select, endOf } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { MODELS_ONLY, PLURAL, issue } from "./types.ts";
import type { Issued, Key } from "./types.ts";
import { t } from "./words.ts";

const LIVES = [30, 90, 365];

export function CreateDialog({ scope, onClose, onIssued }: { scope: string; onClose: () => void; onIssued: (issued: Issued) => void }) {
  const remember = useRemember();
  const [name, setName] = useState("");
  const [days, setDays] = useState("");
  const [modelsOnly, setModelsOnly] = useState(true);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      const expires_at = endOf(days);
      const made = await createResource(PLURAL, scope, {
        api_version: "v1",
        kind: "ApiKey",
        metadata: { name },
        spec: { ...(expires_at && { expires_at }), ...(modelsOnly && { permissions: MODELS_ONLY }) },
      });
      remember(PLURAL, made);
      onIssued(await issue(made as Key));
    } catch (error) {
      setProblem(tell(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog open onClose={onClose} title={t("create")}>
      <form className="flex flex-col gap-4" onSubmit={(event) => void submit(event)}>
        <Field label={t("name")} hint={t("nameHint")}>
          {(ids) => <Input {...ids} autoFocus required pattern="[a-z0-9]([\-a-z0-9]{0,61}[a-z0-9])?" value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field label={t("purpose")}>
          {(ids) => (
            <Select {...ids} value={modelsOnly ? "models" : "all"} onChange={(event) => setModelsOnly(event.target.value === "models")}>
              <option value="models">{t("models")}</option>
              <option value="all">{t("everything")}</option>
            </Select>
          )}
        </Field>
        <Field label={t("expires")}>{(ids) => <Lasting {...ids} value={days} onChange={setDays} lives={LIVES} />}</Field>
        {problem && <Callout tone="bad">{problem}</Callout>}
        <Button type="submit" look="primary" busy={busy}>
          {t("create")}
        </Button>
      </form>
    </Dialog>
  );
}

export function ShownOnce({ issued, onClose }: { issued: Issued; onClose: () => void }) {
  return (
    <Dialog open onClose={onClose} title={t("shownOnce")}>
      <div className="flex flex-col gap-3">
        <Callout tone="warn">{t("shownOnceHint")}</Callout>
        <CodeBlock label={t("theKey")} text={issued.key} wrap />
        <Button look="primary" onClick={onClose}>
          {t("done")}
        </Button>
      </div>
    </Dialog>
  );
}
