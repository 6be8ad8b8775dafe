/** The keys at a scope and below, and what can be done to each. */
import {
  addressOf, createResource, deleteResource, levelOf, patchResource, request, resourceKey, tell, useCan, useGo, usePlace, useQueryWord,
  useRemember, useResources, useTable,
} from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";
import {
  Button, Callout, CodeBlock, Confirm, DataTable, Dialog, Empty, Field, IconButton, Input, Lasting, Menu, Page, Phase, Select, Time, endOf, notify,
} from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { t } from "./words.ts";

type Key = Resource<
  { owner: string | null; permissions: string[] | null; expires_at: string | null; disabled: boolean },
  { owner: string | null; issued_at: string | null; last_used_at: string | null }
>;

interface Issued {
  name: string;
  key: string;
}

const PLURAL = "api-keys";
const MODELS_ONLY = ["endpoint:invoke"];

const issue = ({ metadata }: Key): Promise<Issued> =>
  request<Issued>(`/api/v1/scopes/${encodeURIComponent(metadata.scope)}/api-keys/${metadata.name}:rotate`, { method: "POST", body: {} });

export default function Keys() {
  const { scope } = usePlace();
  const can = useCan();
  const [creating, setCreating] = useQueryWord("create");
  const [issued, setIssued] = useState<Issued | null>(null);
  const keys = useResources<Key>(PLURAL, scope);
  const mayCreate = can("api-key:create", scope) && (levelOf(scope) !== "operator" || can("api-key:create", "-"));
  const create = mayCreate && (
    <Button look="primary" icon="plus" onClick={() => setCreating("1")}>
      {t("create")}
    </Button>
  );
  const table = useTable(keys, (key) => addressOf(scope, PLURAL, key));
  return (
    <Page fill title={t("title")} actions={create}>
      <DataTable
        label={t("title")}
        {...table}
        columns={columns(scope, setIssued)}
        rowKey={resourceKey}
        empty={
          <Empty icon="key" title={t("noneTitle")} actions={create}>
            {t("noneHint")}
          </Empty>
        }
      />
      {creating && mayCreate && (
        <CreateDialog
          scope={scope}
          onClose={() => setCreating("")}
          onIssued={(made) => {
            setCreating("");
            setIssued(made);
          }}
        />
      )}
      {issued && <ShownOnce issued={issued} onClose={() => setIssued(null)} />}
    </Page>
  );
}

function columns(scope: string, onIssued: (issued: Issued) => void): Column<Key>[] {
  return [
    { id: "name", label: t("name"), value: (key) => key.metadata.name, width: "minmax(11rem, 1.4fr)" },
    {
      id: "phase", label: t("phase"), value: (key) => key.status.phase, cell: (key) => <Phase phase={key.status.phase} />, width: "8.5rem",
      options: ["Pending", "Ready", "Disabled", "Expired"],
    },
    { id: "scope", label: t("scope"), value: (key) => key.metadata.scope, width: "minmax(8rem, 1fr)" },
    { id: "owner", label: t("owner"), value: (key) => key.status.owner, width: "minmax(10rem, 1.2fr)" },
    {
      id: "used", label: t("lastUsed"), width: "8rem", value: (key) => (key.status.last_used_at ? Date.parse(key.status.last_used_at) : null),
      cell: (key) => (key.status.last_used_at ? <Time at={key.status.last_used_at} /> : <span className="text-faint">{t("notYet")}</span>),
    },
    {
      id: "expires", label: t("expires"), width: "8rem", value: (key) => (key.spec.expires_at ? Date.parse(key.spec.expires_at) : null),
      cell: (key) => (key.spec.expires_at ? <Time at={key.spec.expires_at} /> : <span className="text-faint">{t("never")}</span>),
    },
    { id: "actions", label: "", value: () => null, cell: (key) => <Actions item={key} scope={scope} onIssued={onIssued} />, width: "3.5rem" },
  ];
}

function Actions({ item, scope, onIssued }: { item: Key; scope: string; onIssued: (issued: Issued) => void }) {
  const can = useCan();
  const go = useGo();
  const remember = useRemember();
  const [asking, setAsking] = useState<"renew" | "revoke" | null>(null);
  const { name, scope: at } = item.metadata;
  const set = async (disabled: boolean) => {
    try {
      remember(PLURAL, await patchResource(PLURAL, at, name, { spec: { disabled } }));
      notify("ok", t(disabled ? "switchedOff" : "switchedOn", { name }), { undo: () => void set(!disabled) });
    } catch (error) {
      notify("bad", tell(error));
    }
  };
  const revoke = async () => {
    await deleteResource(PLURAL, at, name);
    notify("ok", t("revoked", { name }));
  };
  return (
    <>
      <Menu
        label={t("actions", { name })}
        trigger={<IconButton icon="more" label={t("actions", { name })} size="small" />}
        groups={[
          [{ label: t("details"), icon: "info", onSelect: () => go(addressOf(scope, PLURAL, item)) }],
          [
            ...(can("api-key:rotate", at) ? [{ label: t("renew"), icon: "refresh" as const, onSelect: () => setAsking("renew") }] : []),
            ...(can("api-key:update", at)
              ? [{ label: t(item.spec.disabled ? "switchOn" : "switchOff"), icon: "stop" as const, onSelect: () => void set(!item.spec.disabled) }]
              : []),
          ],
          can("api-key:delete", at) ? [{ label: t("revoke"), icon: "delete", danger: true, onSelect: () => setAsking("revoke") }] : [],
        ]}
      />
      <Confirm
        open={asking === "renew"}
        onClose={() => setAsking(null)}
        title={t("renewTitle", { name })}
        action={t("renew")}
        onConfirm={() => issue(item).then(onIssued)}
      >
        <p className="text-sm text-muted">{t("renewHint")}</p>
      </Confirm>
      <Confirm open={asking === "revoke"} onClose={() => setAsking(null)} title={t("revokeTitle", { name })} action={t("revoke")} word={name} onConfirm={revoke}>
        <p className="text-sm text-muted">{t("revokeHint")}</p>
      </Confirm>
    </>
  );
}

const LIVES = [30, 90, 365];

function CreateDialog({ scope, onClose, onIssued }: { scope: string; onClose: () => void; onIssued: (issued: Issued) => void }) {
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

function ShownOnce({ issued, onClose }: { issued: Issued; onClose: () => void }) {
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
