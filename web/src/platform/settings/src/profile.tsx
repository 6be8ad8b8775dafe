import { api, unwrap, useQuery } from "@ironworks/sdk";
import { Callout, Facts, Id, Loading, Page, Section } from "@ironworks/ui";

import { t } from "./words.ts";

export default function Profile() {
  const me = useQuery({ queryKey: ["me"], queryFn: () => unwrap(api.GET("/api/v1/me")) });
  if (me.isPending) return <Loading />;
  if (me.error) return <Callout tone="bad">{me.error.message}</Callout>;
  const { name, uid, kind, grants } = me.data;
  return (
    <Page title={t("profile")}>
      <Section className="max-w-3xl">
        <Facts
          items={[
            { label: t("name"), value: name },
            { label: t("kind"), value: kind },
            { label: t("id"), value: <Id text={uid} /> },
          ]}
        />
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
                    <span className="font-medium">{grant.role}</span>
                    <span className="font-mono text-xs text-muted">{grant.scope}</span>
                    <span className="ml-auto text-xs text-faint">{grant.permissions.length}</span>
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
