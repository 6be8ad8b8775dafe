/** A resource's document: to be read, edited, compared with what is, and applied; the last change can be taken back. */
import { applyResource, tell, useKindDetail, useQuery, useRemember } from "@ironworks/sdk";
import type { Applied, Document, Kind, Resource } from "@ironworks/sdk";
import { Button, Callout, CopyButton, Loading, YamlEditor, notify } from "@ironworks/ui";
import { useMemo, useState } from "react";

import { documentOf, fromYaml, schemaOf, toYaml } from "./documents.ts";
import { t } from "./words.ts";

export function DocumentPanel({ kind, resource, editable }: { kind: Kind; resource: Resource; editable: boolean }) {
  const [edited, setEdited] = useState<{ text: string; original: string; base: Document } | null>(null);
  const { uid, resource_version } = resource.metadata;
  const shown = useQuery({
    queryKey: ["yaml", uid, resource_version],
    queryFn: () => toYaml({ ...documentOf(resource), status: resource.status }),
    staleTime: Infinity,
  });
  if (edited) return <Edit kind={kind} start={edited} at={resource.metadata.scope} onDone={() => setEdited(null)} />;
  const edit = async () => {
    const base = documentOf(resource);
    const original = await toYaml(base);
    setEdited({ text: original, original, base });
  };
  return (
    <div className="flex flex-col gap-2">
      <div className="flex items-center justify-end gap-1">
        {shown.data && <CopyButton text={shown.data} size="normal" />}
        {editable && (
          <Button icon="edit" onClick={() => void edit()}>
            {t("edit")}
          </Button>
        )}
      </div>
      <div className="h-[62vh]">{shown.data ? <YamlEditor label={t("yaml")} value={shown.data} /> : <Loading />}</div>
    </div>
  );
}

interface EditProps {
  kind: Kind;
  start: { text: string; original: string; base: Document };
  at: string;
  onDone: () => void;
}

function Edit({ kind, start, at, onDone }: EditProps) {
  const [text, setText] = useState(start.text);
  const [review, setReview] = useState<Applied | null>(null);
  const { busy, problem, run, clear } = useWriting();
  const detail = useKindDetail(kind.plural);
  const schema = useMemo(() => (detail ? schemaOf(detail) : undefined), [detail]);
  const remember = useRemember();
  const name = start.base.metadata.name;

  const rehearse = () => run(async () => setReview(await applyResource(kind.plural, at, await fromYaml(text), true)));
  const apply = () =>
    run(async () => {
      const done = await applyResource(kind.plural, at, await fromYaml(text));
      remember(kind.plural, done.resource);
      notify("ok", t("applied", { kind: kind.name, name }), { undo: () => void takeBack() });
      onDone();
    });
  const takeBack = async () => {
    const metadata = { ...start.base.metadata };
    delete metadata.resource_version; // it has grown since
    try {
      const done = await applyResource(kind.plural, at, { ...start.base, metadata });
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
            {review.action === "unchanged" ? t("unchangedHint") : t("fieldsChange", { count: review.diff.length })}
          </p>
        )}
        {review ? (
          <>
            <Button onClick={() => setReview(null)}>{t("back")}</Button>
            <Button look="primary" busy={busy} disabled={review.action === "unchanged"} onClick={() => void apply()}>
              {t("apply")}
            </Button>
          </>
        ) : (
          <>
            <Button onClick={onDone}>{t("discard")}</Button>
            <Button look="primary" busy={busy} disabled={text === start.original} onClick={() => void rehearse()}>
              {t("review")}
            </Button>
          </>
        )}
      </div>
      {problem && (
        <Callout tone="bad">
          <span className="whitespace-pre-wrap">{problem}</span>
        </Callout>
      )}
      <div className="h-[62vh]">
        {review ? (
          <YamlEditor label={t("review")} value={text} original={start.original} />
        ) : (
          <YamlEditor
            label={t("edit")}
            value={text}
            onChange={(next) => {
              setText(next);
              clear();
            }}
            onSave={() => void rehearse()}
            {...(schema && { schema })}
          />
        )}
      </div>
    </div>
  );
}

/** One write at a time, and what was wrong with the last one. */
export function useWriting() {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const run = async (write: () => Promise<unknown>) => {
    setBusy(true);
    setProblem("");
    try {
      await write();
    } catch (error) {
      setProblem(tell(error));
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, run, clear: () => setProblem("") };
}
