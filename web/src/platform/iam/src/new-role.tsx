/** A role of one's own, from nothing or from another. */
import { ApiError, createResource, pageAddress, tell, useCan, useGo, usePlace, useQueryWord, useRemember } from "@ironworks/sdk";
import { Button, Callout, Field, Input, Loading, Page, notify } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { Matrix } from "./matrix.tsx";
import { roleScope, shownRole } from "./members.ts";
import { nameOf, useRoles } from "./permissions.ts";
import type { Role } from "./permissions.ts";
import { t } from "./words.ts";

export default function NewRole() {
  const { scope } = usePlace();
  const [like] = useQueryWord("like");
  const { roles, all, loading } = useRoles(scope);
  if (loading) return <Loading />;
  const model = roles.find((role) => nameOf(role) === like);
  return <Form key={like} at={roleScope(scope)} scope={scope} all={all} {...(model && { model })} />;
}

function Form({ at, scope, all, model }: { at: string; scope: string; all: readonly string[]; model?: Role }) {
  const can = useCan();
  const go = useGo();
  const remember = useRemember();
  const mayGive = (permission: string) => can(permission, at);
  const [name, setName] = useState("");
  const [description, setDescription] = useState(model ? t("copyOf", { role: shownRole(nameOf(model)) }) : "");
  const [held, setHeld] = useState(() => new Set(model?.spec.permissions.filter(mayGive)));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const spec = { permissions: [...held], description };
      remember("roles", await createResource("roles", at, { api_version: "v1", kind: "Role", metadata: { name }, spec }));
      notify("ok", t("created", { role: name }));
      go(pageAddress(scope, "members", `roles/${at}/${name}`));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const problemOf = (field: string) => (error instanceof ApiError ? error.problemOf(field) : undefined);
  return (
    <Page title={t("newRole")}>
      <form className="flex flex-col gap-4" onSubmit={(event) => void submit(event)}>
        <p className="text-sm text-muted">{t("belongs", { scope: at })}</p>
        <div className="grid max-w-3xl gap-4 sm:grid-cols-[minmax(0,1fr)_minmax(0,2fr)]">
          <Field label={t("name")} hint={t("nameHint")} problem={problemOf("metadata.name")}>
            {(ids) => <Input {...ids} required autoFocus pattern="[a-z0-9]([\-a-z0-9]{0,61}[a-z0-9])?" value={name} onChange={(event) => setName(event.target.value)} />}
          </Field>
          <Field label={t("description")}>{(ids) => <Input {...ids} maxLength={500} value={description} onChange={(event) => setDescription(event.target.value)} />}</Field>
        </div>
        <Matrix label={t("permissions")} all={all} held={held} onChange={setHeld} mayGive={mayGive} />
        {error !== null && !problemOf("metadata.name") && <Callout tone="bad">{tell(error)}</Callout>}
        <div>
          <Button type="submit" look="primary" busy={busy} disabled={held.size === 0}>
            {t("create")}
          </Button>
        </div>
      </form>
    </Page>
  );
}
