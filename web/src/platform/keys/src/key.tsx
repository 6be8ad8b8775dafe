/** One key: whose it is and how long, what was called with it, and what holds it back. */
import { Link, pageAddress, resourceAddress, tell, useBootstrap, useCan, useGo, usePlace, useResource } from "@ironworks/sdk";
import { Button, Callout, Empty, Facts, Id, Loading, Page, Phase, Section, Time, buttonClass } from "@ironworks/ui";
import { useState } from "react";

import { Actions } from "./actions.tsx";
import { Budgets } from "./budgets.tsx";
import { ShownOnce } from "./create.tsx";
import { Limits } from "./limit-list.tsx";
import { MODELS_ONLY, PLURAL } from "./types.ts";
import type { Issued, Key } from "./types.ts";
import { Used } from "./usage.tsx";
import { t } from "./words.ts";

export default function KeyPage() {
  const { params } = usePlace();
  const { at = "-", name = "" } = params;
  const { data, error, isPending } = useResource(PLURAL, at, name);
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (isPending) return <Loading />;
  if (!data) return <Empty icon="search" title={t("gone", { name })}>{t("goneHint")}</Empty>;
  return <Shown item={data as unknown as Key} />;
}

function Shown({ item }: { item: Key }) {
  const { scope } = usePlace();
  const can = useCan();
  const go = useGo();
  const { kinds } = useBootstrap();
  const [issued, setIssued] = useState<Issued | null>(null);
  const { name, scope: at } = item.metadata;
  const knows = (plural: string, permission: string) => kinds.some((kind) => kind.plural === plural) && can(permission, at);
  const menu = <Button icon="more">{t("change")}</Button>;
  return (
    <Page
      title={name}
      meta={<Phase phase={item.status.phase} />}
      actions={
        <>
          <Actions item={item} trigger={menu} onIssued={setIssued} onRevoked={() => go(pageAddress(scope, "keys"))} />
          <Link to={resourceAddress(scope, PLURAL, at, name)} className={buttonClass("normal")}>
            {t("everythingAbout")}
          </Link>
        </>
      }
    >
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,28rem)]">
        <div className="flex min-w-0 flex-col gap-4">
          {can("usage:read", at) && <Used item={item} />}
          {knows("limits", "limit:read") && <Limits item={item} />}
          {knows("budgets", "budget:read") && <Budgets item={item} />}
        </div>
        <About item={item} />
      </div>
      {issued && <ShownOnce issued={issued} onClose={() => setIssued(null)} />}
    </Page>
  );
}

function About({ item }: { item: Key }) {
  const { metadata, spec, status } = item;
  const modelsOnly = spec.permissions?.length === 1 && spec.permissions[0] === MODELS_ONLY[0];
  return (
    <Section>
      <Facts
        items={[
          { label: t("name"), value: <Id text={`${metadata.scope}/${metadata.name}`} /> },
          { label: t("owner"), value: status.owner ?? "–" },
          { label: t("purpose"), value: modelsOnly ? t("models") : spec.permissions ? spec.permissions.join(", ") : t("everythingOfOwner") },
          { label: t("expires"), value: spec.expires_at ? <Time at={spec.expires_at} exact /> : t("never") },
          { label: t("lastUsed"), value: status.last_used_at ? <Time at={status.last_used_at} /> : t("notYet") },
          { label: t("issued"), value: <Time at={status.issued_at} exact /> },
          { label: t("created"), value: <Time at={metadata.creation_timestamp} exact /> },
        ]}
      />
    </Section>
  );
}
