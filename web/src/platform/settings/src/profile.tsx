/** Who one is, how one is called, and what one may do. */
import { api, live, tell, unwrap, useQuery, useQueryClient } from "@ironworks/sdk";
import { Button, Callout, Facts, Field, Id, Input, Loading, Page, Section, notify, words } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { t } from "./words.ts";

export default function Profile() {
  const me = useQuery({ queryKey: ["me"], ...live("-", "me", "roles", "role-assignments"), queryFn: () => unwrap(api.GET("/api/v1/me")) });
  if (me.isPending) return <Loading />;
  if (me.error) return <Callout tone="bad">{me.error.message}</Callout>;
  const { name, display_name, uid, kind, grants } = me.data;
  return (
    <Page title={t("profile")}>
      <Section className="max-w-3xl">
        <Facts
          items={[
            { label: t("name"), value: name },
            { label: t("kind"), value: words(kind) },
            { label: t("id"), value: <Id text={uid} /> },
          ]}
        />
        {kind === "user" && <Called name={display_name ?? ""} />}
      </Section>
      <Section className="max-w-3xl" title={t("rights")} hint={t("rightsHint")} flush>
        {grants.length === 0 ? (
          <p className="p-4 text-faint">{t("noRights")}</p>
        ) : (
          <ul className="divide-y divide-line">
            {grants.map((grant) => (
              <li key={`${grant.scope} ${grant.role}`}>
                <details>
                  <summary className="flex items-center gap-3 px-4 py-2 hover:bg-hover">
                    <span className="font-medium">{grant.role.split("/").at(-1)}</span>
                    <span className="text-xs text-muted">{t("at", { scope: grant.scope === "-" ? t("everywhere") : grant.scope })}</span>
                    <span className="ml-auto text-xs text-faint">{t("permissionCount", { count: grant.permissions.length })}</span>
                  </summary>
                  <p className="px-4 pb-3 font-mono text-xs leading-5 break-words text-muted">{grant.permissions.join("  ")}</p>
                </details>
              </li>
            ))}
          </ul>
        )}
      </Section>
    </Page>
  );
}

/** The name that others see beside the address. */
function Called({ name }: { name: string }) {
  const client = useQueryClient();
  const [text, setText] = useState(name);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const save = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      client.setQueryData(["me"], await unwrap(api.PATCH("/api/v1/me", { body: { display_name: text.trim() || null } })));
      notify("ok", t("saved"));
    } catch (error) {
      setProblem(tell(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={(event) => void save(event)} className="mt-4 flex items-end gap-2 border-t border-line pt-4">
      <div className="min-w-0 flex-1">
        <Field label={t("called")} problem={problem || undefined}>
          {(ids) => <Input {...ids} autoComplete="name" maxLength={100} value={text} onChange={(event) => setText(event.target.value)} />}
        </Field>
      </div>
      <Button type="submit" busy={busy} disabled={text.trim() === name}>
        {t("save")}
      </Button>
    </form>
  );
}
