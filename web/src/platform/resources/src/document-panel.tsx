/** A resource's document: to be read, edited, compared with what is, and applied; the last change can be taken back. */
import { applyResource, tell, useKindDetail, useQuery, useRemember, useWriting } from "@ironworks/sdk";
import type { Applied, Document, Kind, KindDetail, Resource } from "@ironworks/sdk";
import { Button, Callout, CopyButton, Loading, YamlEditor, notify } from "@ironworks/ui";
import { useState } from "react";

import { documentOf, toYaml } from "./documents.ts";
import { DraftView, documentIn, textOf } from "./draft.tsx";
import type { Draft, View } from "./draft.tsx";
import { t } from "./words.ts";

/** What is edited, kept by the page while one looks elsewhere on it. */
export interface Editing {
  draft: Draft;
  base: Document;
  original: string;
}

export async function beginEditing(resource: Resource, view: View): Promise<Editing> {
  const base = documentOf(resource);
  const original = await toYaml(base);
  return { base, original, draft: { view, document: base, text: original } };
}

export function DocumentPanel({ resource, onEdit }: { resource: Resource; onEdit: (() => void) | false }) {
  const { uid, resource_version } = resource.metadata;
  const shown = useQuery({
    queryKey: ["yaml", uid, resource_version],
    queryFn: () => toYaml({ ...documentOf(resource), status: resource.status }),
    staleTime: Infinity,
  });
  return (
    <div className="flex flex-col gap-2">
      <div className="flex items-center justify-end gap-1">
        {shown.data && <CopyButton text={shown.data} size="normal" />}
        {onEdit && (
          <Button icon="edit" onClick={onEdit}>
            {t("editYaml")}
          </Button>
        )}
      </div>
      <div className="h-[62vh]">{shown.data ? <YamlEditor label={t("yaml")} value={shown.data} /> : <Loading />}</div>
    </div>
  );
}

interface EditProps {
  kind: Kind;
  at: string;
  editing: Editing;
  onEditing: (editing: Editing | null) => void;
}

export function EditPanel(props: EditProps) {
  const detail = useKindDetail(props.kind.plural);
  return detail ? <Edit {...props} kind={detail} /> : <Loading />;
}

interface Review {
  applied: Applied;
  text: string;
}

function Edit({ kind, at, editing, onEditing }: EditProps & { kind: KindDetail }) {
  const { draft, base, original } = editing;
  const [review, setReview] = useState<Review | null>(null);
  const { busy, failure, run, setFailure } = useWriting();
  const remember = useRemember();
  const { name } = base.metadata;
  const changed = draft.view === "yaml" ? draft.text !== original : draft.document !== base || draft.text !== original;

  const rehearse = () =>
    run(async () => setReview({ applied: await applyResource(kind.plural, at, await documentIn(draft), true), text: await textOf(draft) }));
  const apply = () =>
    run(async () => {
      const done = await applyResource(kind.plural, at, await documentIn(draft));
      remember(kind.plural, done.resource);
      notify("ok", t("applied", { kind: kind.name, name }), { undo: () => void takeBack() });
      onEditing(null);
    });
  const takeBack = async () => {
    const metadata = { ...base.metadata };
    delete metadata.resource_version; // it has grown since
    try {
      const done = await applyResource(kind.plural, at, { ...base, metadata });
      remember(kind.plural, done.resource);
      notify("ok", t("restored", { kind: kind.name, name }));
    } catch (error) {
      notify("bad", tell(error));
    }
  };
  return (
    <div className="flex flex-col gap-2">
      <div className="flex flex-wrap items-center justify-end gap-2">
        {review && (
          <p className="mr-auto text-sm text-muted">
            {review.applied.action === "unchanged" ? t("unchangedHint") : t("fieldsChange", { count: review.applied.diff.length })}
          </p>
        )}
        {review ? (
          <>
            <Button onClick={() => setReview(null)}>{t("back")}</Button>
            <Button look="primary" busy={busy} disabled={review.applied.action === "unchanged"} onClick={() => void apply()}>
              {t("apply")}
            </Button>
          </>
        ) : (
          <>
            <Button onClick={() => onEditing(null)}>{t("discard")}</Button>
            <Button look="primary" busy={busy} disabled={!changed} onClick={() => void rehearse()}>
              {t("review")}
            </Button>
          </>
        )}
      </div>
      {review && failure !== null && <Callout tone="bad">{tell(failure)}</Callout>}
      {review ? (
        <div className="h-[62vh]">
          <YamlEditor label={t("review")} value={review.text} original={original} />
        </div>
      ) : (
        <DraftView
          kind={kind}
          at={at}
          draft={draft}
          onDraft={(next) => onEditing({ ...editing, draft: next })}
          failure={failure}
          onFailure={setFailure}
          editing
          onSave={() => void rehearse()}
        />
      )}
    </div>
  );
}
