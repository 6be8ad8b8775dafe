/**
 * A document that is being written, as a form or as YAML. What is shown is what counts: turning from one to the other
 * carries everything over, comments too.
 */
import { ApiError, tell, useReferenceOptions } from "@ironworks/sdk";
import type { Document, FieldProblem, KindDetail } from "@ironworks/sdk";
import { Callout, Choice, Section, YamlEditor, marked } from "@ironworks/ui";
import { SchemaForm } from "@ironworks/ui/form";
import { useEffect, useMemo, useRef } from "react";

import { METADATA_SCHEMA, fromYaml, readDocument, rewrite, schemaOf, toYaml } from "./documents.ts";
import { t } from "./words.ts";

export type View = "form" | "yaml";

export interface Draft {
  view: View;
  /** Counts in the view `form`. */
  document: Document;
  /** Counts in the view `yaml`; before, what the form began with. */
  text: string;
}

export const textOf = async ({ view, document, text }: Draft): Promise<string> => (view === "yaml" ? text : text ? rewrite(text, document) : toYaml(document));
export const documentIn = async ({ view, document, text }: Draft): Promise<Document> => (view === "yaml" ? fromYaml(text) : document);

/** The same draft, seen the other way. Raises Error where its YAML is no document. */
export async function turned(draft: Draft, view: View): Promise<Draft> {
  if (view === draft.view) return draft;
  return view === "yaml" ? { ...draft, view, text: await textOf(draft) } : { ...draft, view, document: await readDocument(draft.text) };
}

interface DraftProps {
  kind: KindDetail;
  /** The scope that references are seen from. */
  at: string;
  draft: Draft;
  onDraft: (draft: Draft) => void;
  failure: unknown;
  onFailure: (failure: unknown) => void;
  editing?: boolean;
  onSave: () => void;
}

export function DraftView({ kind, at, draft, onDraft, failure, onFailure, editing = false, onSave }: DraftProps) {
  const schema = useMemo(() => schemaOf(kind), [kind]);
  const fields = failure instanceof ApiError ? failure.fields : [];
  const beside = draft.view === "form" && fields.length > 0;
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (failure !== null) box.current?.querySelector("[aria-invalid=true], [role=alert]")?.scrollIntoView({ block: "center" });
  }, [failure]);
  const turn = async (view: View) => {
    try {
      onDraft(await turned(draft, view));
      onFailure(null);
    } catch (error) {
      onFailure(error);
    }
  };
  return (
    <div ref={box} className="flex min-w-0 flex-col gap-3">
      <div>
        <Choice
          label={t("writtenAs")}
          value={draft.view}
          options={[{ value: "form", label: t("form") }, { value: "yaml", label: t("yaml") }]}
          onChange={(view) => void turn(view)}
        />
      </div>
      {failure !== null && !beside && (
        <Callout tone="bad">
          <span className="whitespace-pre-wrap">{tell(failure)}</span>
        </Callout>
      )}
      {draft.view === "form" ? (
        <DocumentForm kind={kind} at={at} document={draft.document} onChange={(document) => onDraft({ ...draft, document })} problems={fields} editing={editing} />
      ) : (
        <div className="h-[62vh]">
          <YamlEditor label={t("yaml")} value={draft.text} schema={schema} onChange={(text) => onDraft({ ...draft, text })} onSave={onSave} />
        </div>
      )}
    </div>
  );
}

interface DocumentFormProps {
  kind: KindDetail;
  at: string;
  document: Document;
  onChange: (document: Document) => void;
  problems: readonly FieldProblem[];
  editing: boolean;
}

const METADATA_HINTS = { immutable: ["name"] };

function DocumentForm({ kind, at, document, onChange, problems, editing }: DocumentFormProps) {
  const useOptions = (name: string) => useReferenceOptions(name, at);
  const { metadata, spec } = useMemo(() => parted(problems), [problems]);
  return (
    <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,28rem)]">
      <Section title={kind.name} hint={marked(kind.description)}>
        <SchemaForm
          schema={kind.spec_schema}
          value={document.spec}
          onChange={(next) => onChange({ ...document, spec: next as Document["spec"] })}
          problems={spec}
          hints={kind}
          editing={editing}
          useOptions={useOptions}
        />
      </Section>
      <Section title={t("identity")} className="max-xl:order-first">
        <SchemaForm
          schema={METADATA_SCHEMA}
          value={document.metadata}
          onChange={(next) => onChange({ ...document, metadata: next as Document["metadata"] })}
          problems={metadata}
          hints={METADATA_HINTS}
          editing={editing}
        />
      </Section>
    </div>
  );
}

/** Problems as the two forms name their fields; what belongs to neither is told above the spec. */
function parted(problems: readonly FieldProblem[]): { metadata: FieldProblem[]; spec: FieldProblem[] } {
  const metadata = problems.filter(({ field }) => field.startsWith("metadata."));
  const spec = problems.filter((one) => !metadata.includes(one));
  const strip = (prefix: RegExp) => (one: FieldProblem) => ({ ...one, field: one.field.replace(prefix, "") });
  return { metadata: metadata.map(strip(/^metadata\./)), spec: spec.map(strip(/^spec\.?/)) };
}
