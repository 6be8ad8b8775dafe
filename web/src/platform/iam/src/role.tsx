/** One role: what it permits, as a table that is changed where one may. */
import { Link, createResource, deleteResource, pageAddress, patchResource, tell, useCan, useGo, usePlace, useRemember } from "@ironworks/sdk";
import { Badge, Button, Callout, Confirm, Empty, Field, Input, Loading, Page, buttonClass, notify } from "@ironworks/ui";
import { useState } from "react";

import { Matrix } from "./matrix.tsx";
import { roleScope, shownRole } from "./members.ts";
import { difference, nameOf, useRoles } from "./permissions.ts";
import type { Role } from "./permissions.ts";
import { t } from "./words.ts";

export default function RolePage() {
  const { scope, params } = usePlace();
  const { roles, all, loading, error } = useRoles(scope);
  const role = roles.find(({ metadata }) => metadata.scope === params["at"] && metadata.name === params["name"]);
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (loading) return <Loading />;
  if (!role) return <Empty icon="shield" title={t("noSuchRole")} />;
  return <Shown key={role.metadata.resource_version} role={role} all={all} scope={scope} />;
}

function Shown({ role, all, scope }: { role: Role; all: readonly string[]; scope: string }) {
  const { metadata, spec, status } = role;
  const can = useCan();
  const go = useGo();
  const remember = useRemember();
  const editable = !status.preset && can("role:update", metadata.scope);
  const [held, setHeld] = useState(() => new Set(spec.permissions));
  const [description, setDescription] = useState(spec.description);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const [deleting, setDeleting] = useState(false);
  const { added, removed } = difference(spec.permissions, [...held]);
  const changed = added.length + removed.length > 0 || description !== spec.description;

  const put = async (permissions: string[], text: string) => {
    remember("roles", await patchResource("roles", metadata.scope, metadata.name, { spec: { permissions, description: text } }));
  };
  const save = async () => {
    setBusy(true);
    setProblem("");
    try {
      await put([...held], description);
      const undo = () => void put(spec.permissions, spec.description).catch((error: unknown) => notify("bad", tell(error)));
      notify("ok", t("saved", { role: metadata.name }), { undo });
    } catch (error) {
      setProblem(tell(error));
    } finally {
      setBusy(false);
    }
  };
  const remove = async () => {
    await deleteResource("roles", metadata.scope, metadata.name);
    notify("ok", t("deleted", { role: metadata.name }), { undo: () => void restore(role) });
    go(pageAddress(scope, "members", "roles"));
  };
  return (
    <Page
      title={metadata.name}
      meta={status.preset ? <Badge>{t("preset")}</Badge> : <span className="font-mono text-xs text-faint">{metadata.scope}</span>}
      actions={
        <>
          {can("role:create", roleScope(scope)) && (
            <Link to={pageAddress(scope, "members", "roles/new", { like: nameOf(role) })} className={buttonClass("normal")}>
              {t("copyRole")}
            </Link>
          )}
          {!status.preset && can("role:delete", metadata.scope) && (
            <Button icon="delete" onClick={() => setDeleting(true)}>
              {t("delete")}
            </Button>
          )}
        </>
      }
    >
      {status.preset && <p className="max-w-prose text-sm text-muted">{`${spec.description} ${t("presetHint")}`}</p>}
      {!status.preset && !editable && spec.description && <p className="max-w-prose text-sm text-muted">{spec.description}</p>}
      {editable && (
        <div className="max-w-xl">
          <Field label={t("description")}>{(ids) => <Input {...ids} maxLength={500} value={description} onChange={(event) => setDescription(event.target.value)} />}</Field>
        </div>
      )}
      <Matrix
        label={t("permissions")}
        all={all}
        held={held}
        {...(editable && { onChange: setHeld, mayGive: (permission: string) => spec.permissions.includes(permission) || can(permission, metadata.scope) })}
      />
      {problem && <Callout tone="bad">{problem}</Callout>}
      {editable && (
        <SaveBar
          {...{ added, removed, changed, busy }}
          onSave={() => void save()}
          onDiscard={() => {
            setHeld(new Set(spec.permissions));
            setDescription(spec.description);
          }}
        />
      )}
      <Confirm open={deleting} onClose={() => setDeleting(false)} title={t("deleteTitle", { role: shownRole(nameOf(role)) })} action={t("delete")} word={metadata.name} onConfirm={remove}>
        <p className="text-sm text-muted">{t("deleteHint")}</p>
      </Confirm>
    </Page>
  );
}

async function restore({ metadata, spec }: Role): Promise<void> {
  try {
    await createResource("roles", metadata.scope, { api_version: "v1", kind: "Role", metadata: { name: metadata.name }, spec: { ...spec } });
    notify("ok", t("created", { role: metadata.name }));
  } catch (error) {
    notify("bad", tell(error));
  }
}

interface SaveBarProps {
  added: string[];
  removed: string[];
  changed: boolean;
  busy: boolean;
  onSave: () => void;
  onDiscard: () => void;
}

/** Stays in sight, and says what saving would do. */
function SaveBar({ added, removed, changed, busy, onSave, onDiscard }: SaveBarProps) {
  const told = [
    ...(added.length > 0 ? [t("adds", { count: added.length })] : []),
    ...(removed.length > 0 ? [t("takes", { count: removed.length })] : []),
  ];
  return (
    <div className="panel sticky bottom-3 flex flex-wrap items-center gap-3 px-4 py-2 shadow-pop">
      <p className="min-w-0 flex-1 text-xs text-muted" title={[...added.map((one) => `+ ${one}`), ...removed.map((one) => `− ${one}`)].join("\n")}>
        {changed ? [told.join(", "), t("saveHint")].filter(Boolean).join(". ") : t("nothingChanged")}
      </p>
      <Button onClick={onDiscard} disabled={!changed || busy}>
        {t("discard")}
      </Button>
      <Button look="primary" busy={busy} disabled={!changed} onClick={onSave}>
        {t("save")}
      </Button>
    </div>
  );
}
