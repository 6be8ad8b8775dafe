/** Edits that are rehearsed, shown, applied, and can be taken back. */
import { applyResource, tell, useRemember, useWriting } from "@ironworks/sdk";
import type { Applied, Document, Resource } from "@ironworks/sdk";
import { notify } from "@ironworks/ui";
import { useState } from "react";

import { t } from "./words.ts";

/** The document of a resource with another spec; its version has a faster writer noticed. */
export function documentWith({ kind, metadata }: Resource<unknown, unknown>, spec: object): Document {
  const { name, scope, display_name, labels, annotations, resource_version } = metadata;
  return { api_version: "v1", kind, metadata: { name, scope, display_name, labels, annotations, resource_version }, spec: spec as Document["spec"] };
}

/** Rehearses the change to `spec`, then applies it; `onDone` follows. */
export function useEditing(plural: string, resource: Resource<object, unknown>, onDone: () => void) {
  const remember = useRemember();
  const [review, setReview] = useState<Applied | null>(null);
  const { busy, failure, run } = useWriting();
  const { scope, name } = resource.metadata;
  const takeBack = async () => {
    const document = documentWith(resource, resource.spec);
    delete document.metadata.resource_version; // it has grown since
    try {
      remember(plural, (await applyResource(plural, scope, document)).resource);
      notify("ok", t("restored", { name }));
    } catch (error) {
      notify("bad", tell(error));
    }
  };
  return {
    busy,
    failure,
    review,
    leave: () => setReview(null),
    rehearse: (spec: object) => run(async () => setReview(await applyResource(plural, scope, documentWith(resource, spec), true))),
    apply: (spec: object) =>
      run(async () => {
        remember(plural, (await applyResource(plural, scope, documentWith(resource, spec))).resource);
        notify("ok", t("saved", { name }), { undo: () => void takeBack() });
        onDone();
      }),
  };
}
