/** One resource: what is wanted and observed, its document, what happened to it, and its end. */
import {
  Link, deleteResource, kindAddress, permissionWord, tell, useBootstrap, useCan, useGo, useKind, useKindDetail, usePlace, useQuery,
  useQueryWord, useResource,
} from "@ironworks/sdk";
import type { Kind, Resource } from "@ironworks/sdk";
import {
  Badge, Button, Callout, Conditions, Confirm, Empty, Facts, Id, Loading, Page, Phase, Section, Tabs, Time, buttonClass, notify, words,
} from "@ironworks/ui";
import { useState } from "react";

import { DocumentPanel, EditPanel, beginEditing } from "./document-panel.tsx";
import type { Editing } from "./document-panel.tsx";
import type { View } from "./draft.tsx";
import { History } from "./history.tsx";
import { Tree } from "./values.tsx";
import { t } from "./words.ts";

export default function Detail() {
  const { params } = usePlace();
  const { plural = "", at = "-", name = "" } = params;
  const kind = useKind(plural);
  const { data: resource, error, isPending } = useResource(plural, at, name);
  if (!kind) return <Empty icon="search" title={t("unknownKind", { plural })} />;
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (isPending) return <Loading />;
  if (!resource) return <Gone kind={kind} name={name} />;
  return <Shown kind={kind} resource={resource} />;
}

function Gone({ kind, name }: { kind: Kind; name: string }) {
  const { scope } = usePlace();
  return (
    <Empty
      icon="search"
      title={t("gone", { kind: kind.name, name })}
      actions={
        <Link to={kindAddress(scope, kind.plural)} className={buttonClass("normal")}>
          {t("backToList", { plural: words(kind.plural).toLowerCase() })}
        </Link>
      }
    >
      {t("goneHint")}
    </Empty>
  );
}

function Shown({ kind, resource }: { kind: Kind; resource: Resource }) {
  const { scope } = usePlace();
  const can = useCan();
  const [tab, setTab] = useQueryWord("tab", "overview");
  const [deleting, setDeleting] = useState(false);
  const [editing, setEditing] = useState<Editing | null>(null);
  const { metadata, status } = resource;
  const own = kind.node ? (metadata.scope === "-" ? metadata.name : `${metadata.scope}.${metadata.name}`) : metadata.scope;
  const may = (action: string) => can(`${permissionWord(kind.name)}:${action}`, own) && !metadata.deletion_timestamp;
  const edit = async (view: View) => {
    setEditing(await beginEditing(resource, view));
    setTab("edit");
  };
  const onEditing = (next: Editing | null) => {
    setEditing(next);
    if (!next) setTab("overview");
  };
  return (
    <Page
      title={metadata.display_name ?? metadata.name}
      meta={<Phase phase={status.phase} />}
      actions={
        <>
          {may("update") && !editing && (
            <Button icon="edit" onClick={() => void edit("form")}>
              {t("edit")}
            </Button>
          )}
          {may("delete") && (
            <Button look="danger" icon="delete" onClick={() => setDeleting(true)}>
              {t("delete")}
            </Button>
          )}
        </>
      }
    >
      <nav aria-label={t("title")} className="-mt-3 flex flex-wrap items-center gap-1.5 text-xs text-faint">
        <Link to={kindAddress(scope, kind.plural)} className="hover:text-ink hover:underline">
          {words(kind.plural)}
        </Link>
        <span aria-hidden>/</span>
        <span className="font-mono">
          {metadata.scope}/{metadata.name}
        </span>
      </nav>
      {metadata.deletion_timestamp && <Callout tone="warn">{t("deleting")}</Callout>}
      <Tabs
        label={metadata.name}
        value={tab}
        onChange={setTab}
        tabs={[
          { id: "overview", label: t("overview"), content: <Overview kind={kind} resource={resource} /> },
          { id: "yaml", label: t("yaml"), content: <DocumentPanel resource={resource} onEdit={may("update") && !editing && (() => void edit("yaml"))} /> },
          { id: "history", label: t("history"), content: <History resource={resource} scope={own} /> },
          ...(editing ? [{ id: "edit", label: t("edit"), content: <EditPanel kind={kind} at={metadata.scope} editing={editing} onEditing={onEditing} /> }] : []),
        ]}
      />
      {deleting && <DeleteDialog kind={kind} resource={resource} onClose={() => setDeleting(false)} />}
    </Page>
  );
}

const ALWAYS = new Set(["phase", "conditions", "observed_generation"]);

function Overview({ kind, resource }: { kind: Kind; resource: Resource }) {
  const { kinds } = useBootstrap();
  const detail = useKindDetail(kind.plural);
  const { metadata, spec, status } = resource;
  const references = Object.fromEntries(
    Object.entries(detail?.references ?? {}).map(([field, name]) => [field.replaceAll("[]", ""), kinds.find((one) => one.name === name)]),
  );
  const observed = Object.fromEntries(Object.entries(status).filter(([name]) => !ALWAYS.has(name)));
  const labels = Object.entries(metadata.labels);
  const behind = status.observed_generation > 0 && status.observed_generation < metadata.generation;
  return (
    <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,28rem)]">
      <div className="flex min-w-0 flex-col gap-4">
        <Section title={t("conditions")}>
          {behind && <p className="mb-2 text-xs text-warn">{t("behind")}</p>}
          {status.conditions.length > 0 ? (
            <div className="-my-2">
              <Conditions items={status.conditions} />
            </div>
          ) : (
            <p className="text-sm text-faint">{t("noConditions")}</p>
          )}
        </Section>
        <Section title={t("wanted")}>
          <Tree value={spec} references={references} at={metadata.scope} />
        </Section>
        {Object.keys(observed).length > 0 && (
          <Section title={t("observed")}>
            <Tree value={observed} at={metadata.scope} />
          </Section>
        )}
      </div>
      <Section title={t("identity")}>
        <Facts
          items={[
            { label: t("name"), value: <Id text={`${metadata.scope}/${metadata.name}`} /> },
            { label: t("uid"), value: <Id text={metadata.uid} /> },
            ...(labels.length > 0
              ? [
                  {
                    label: t("labels"),
                    value: (
                      <span className="flex flex-wrap gap-1">
                        {labels.map(([key, value]) => (
                          <Badge key={key}>{`${key}=${value}`}</Badge>
                        ))}
                      </span>
                    ),
                  },
                ]
              : []),
            { label: t("createdAt"), value: <Time at={metadata.creation_timestamp} exact /> },
            { label: t("updatedAt"), value: <Time at={metadata.update_timestamp} /> },
            { label: t("generation"), value: metadata.generation },
            { label: t("version"), value: metadata.resource_version },
          ]}
        />
      </Section>
    </div>
  );
}

/** Asks the API first what would happen: a refusal names what depends on it. */
function DeleteDialog({ kind, resource, onClose }: { kind: Kind; resource: Resource; onClose: () => void }) {
  const { scope } = usePlace();
  const go = useGo();
  const { name, scope: at } = resource.metadata;
  const rehearsal = useQuery({
    queryKey: ["rehearsal", kind.plural, at, name],
    queryFn: () => deleteResource(kind.plural, at, name, true).then(() => true),
    retry: false,
    staleTime: 0,
    gcTime: 0,
  });
  const remove = async () => {
    await deleteResource(kind.plural, at, name);
    notify("ok", t("deleted", { kind: kind.name, name }));
    go(kindAddress(scope, kind.plural));
  };
  return (
    <Confirm
      open
      onClose={onClose}
      title={t("deleteTitle", { kind: kind.name, name })}
      action={t("delete")}
      word={name}
      blocked={!rehearsal.isSuccess}
      onConfirm={remove}
    >
      <p className="text-sm text-muted">{t("deleteHint")}</p>
      {rehearsal.isPending && <p className="text-sm text-faint">{t("deleteChecking")}</p>}
      {rehearsal.isSuccess && <Callout tone="ok">{t("deleteFree")}</Callout>}
      {rehearsal.error && (
        <Callout tone="warn" title={t("deleteBlocked")}>
          {tell(rehearsal.error)}
        </Callout>
      )}
    </Confirm>
  );
}
