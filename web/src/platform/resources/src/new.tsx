/** A first document of a kind, as a form or as YAML. */
import { addressOf, createResource, useGo, useKindDetail, usePlace, useQueryWord, useRemember, useWriting } from "@ironworks/sdk";
import type { KindDetail } from "@ironworks/sdk";
import { Button, Loading, Page, notify } from "@ironworks/ui";
import { useEffect, useState } from "react";

import { skeleton, toYaml } from "./documents.ts";
import { DraftView, documentIn } from "./draft.tsx";
import type { Draft } from "./draft.tsx";
import { t } from "./words.ts";

export default function New() {
  const { params, scope } = usePlace();
  const kind = useKindDetail(params["plural"] ?? "");
  return kind ? <Writing key={kind.plural} kind={kind} scope={scope} /> : <Loading />;
}

function useFirstDraft(kind: KindDetail, scope: string) {
  const [as] = useQueryWord("as", "form");
  const [draft, setDraft] = useState<Draft | null>(null);
  useEffect(() => {
    const document = skeleton(kind, scope);
    if (as === "yaml") void toYaml(document).then((text) => setDraft({ view: "yaml", document, text }));
    else setDraft({ view: "form", document, text: "" });
    // what was written stays, however the address changes
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [kind, scope]);
  return [draft, setDraft] as const;
}

function Writing({ kind, scope }: { kind: KindDetail; scope: string }) {
  const go = useGo();
  const remember = useRemember();
  const [draft, setDraft] = useFirstDraft(kind, scope);
  const { busy, failure, run, setFailure } = useWriting();
  if (!draft) return <Loading />;
  const create = () =>
    run(async () => {
      const document = await documentIn(draft);
      const made = await createResource(kind.plural, document.metadata.scope ?? scope, document);
      remember(kind.plural, made);
      notify("ok", t("created", { kind: kind.name, name: made.metadata.name }));
      go(addressOf(scope, kind.plural, made));
    });
  return (
    <Page
      title={t("new", { kind: kind.name })}
      actions={
        <Button look="primary" busy={busy} onClick={() => void create()}>
          {t("create")}
        </Button>
      }
    >
      <DraftView kind={kind} at={scope} draft={draft} onDraft={setDraft} failure={failure} onFailure={setFailure} onSave={() => void create()} />
    </Page>
  );
}
