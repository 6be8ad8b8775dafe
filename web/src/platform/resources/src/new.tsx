/** A first document of a kind, checked against its schema while it is written. */
import { addressOf, createResource, useGo, useKindDetail, usePlace, useQuery, useRemember } from "@ironworks/sdk";
import type { KindDetail } from "@ironworks/sdk";
import { Button, Callout, Loading, Page, YamlEditor, notify } from "@ironworks/ui";
import { useMemo, useState } from "react";

import { useWriting } from "./document-panel.tsx";
import { fromYaml, schemaOf, skeleton, toYaml } from "./documents.ts";
import { t } from "./words.ts";

export default function New() {
  const { params, scope } = usePlace();
  const kind = useKindDetail(params["plural"] ?? "");
  const start = useQuery({
    queryKey: ["skeleton", params["plural"], scope],
    queryFn: () => (kind ? toYaml(skeleton(kind, scope)) : ""),
    enabled: kind !== undefined,
    staleTime: Infinity,
  });
  if (!kind || start.data === undefined) return <Loading />;
  return <Form kind={kind} scope={scope} start={start.data} />;
}

function Form({ kind, scope, start }: { kind: KindDetail; scope: string; start: string }) {
  const go = useGo();
  const remember = useRemember();
  const [text, setText] = useState(start);
  const schema = useMemo(() => schemaOf(kind), [kind]);
  const { busy, problem, run, clear } = useWriting();
  const create = () =>
    run(async () => {
      const document = await fromYaml(text);
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
      <p className="max-w-prose text-muted">{kind.description}</p>
      {problem && (
        <Callout tone="bad">
          <span className="whitespace-pre-wrap">{problem}</span>
        </Callout>
      )}
      <div className="h-[64vh]">
        <YamlEditor
          label={t("new", { kind: kind.name })}
          value={text}
          schema={schema}
          onChange={(next) => {
            setText(next);
            clear();
          }}
          onSave={() => void create()}
        />
      </div>
    </Page>
  );
}
