/** A provider's document as a form; what will change is shown before it does. */
import { ApiError, Link, tell, useGo, useKindDetail, usePlace, useResource } from "@ironworks/sdk";
import type { KindDetail } from "@ironworks/sdk";
import { Button, Callout, Empty, Loading, Page, Section, buttonClass } from "@ironworks/ui";
import { SchemaForm } from "@ironworks/ui/form";
import { useMemo, useState } from "react";

import { Changes } from "./changes.tsx";
import { EXTERNALS, providerAddress } from "./types.ts";
import type { External } from "./types.ts";
import { t } from "./words.ts";
import { useEditing } from "./writing.ts";

export default function EditProvider() {
  const { params } = usePlace();
  const { at = "-", name = "" } = params;
  const kind = useKindDetail(EXTERNALS);
  const { data, error, isPending } = useResource(EXTERNALS, at, name);
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (isPending || !kind) return <Loading />;
  if (!data) return <Empty icon="search" title={t("gone", { name })}>{t("goneHint")}</Empty>;
  return <Edit kind={kind} first={data as unknown as External} />;
}

function Edit({ kind, first }: { kind: KindDetail; first: External }) {
  const { scope } = usePlace();
  const go = useGo();
  const [external] = useState(first);
  const [spec, setSpec] = useState<object>(external.spec);
  const { busy, failure, review, leave, rehearse, apply } = useEditing(EXTERNALS, external, () => go(providerAddress(scope, external)));
  const fields = useMemo(() => (failure instanceof ApiError && !review ? failure.fields : []).map((one) => ({ ...one, field: one.field.replace(/^spec\.?/, "") })), [failure, review]);
  return (
    <Page
      title={t("editProvider", { name: external.metadata.name })}
      actions={
        <>
          <Link to={providerAddress(scope, external)} className={buttonClass("normal")}>
            {t("back")}
          </Link>
          <Button look="primary" busy={busy} onClick={() => void rehearse(spec)}>
            {t("review")}
          </Button>
        </>
      }
    >
      {failure !== null && fields.length === 0 && !review && <Callout tone="bad">{tell(failure)}</Callout>}
      <Section>
        <SchemaForm schema={kind.spec_schema} value={spec} onChange={(next) => setSpec(next as object)} problems={fields} hints={kind} editing />
      </Section>
      {review && <Changes applied={review} busy={busy} problem={failure === null ? "" : tell(failure)} onClose={leave} onApply={() => void apply(spec)} />}
    </Page>
  );
}
