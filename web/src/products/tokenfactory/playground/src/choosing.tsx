/** What both pages begin with: a tenant, a model in it, and which of the two pages it is. */
import { Link, levelOf, pageAddress, useBootstrap, useCan, useGo, usePlace, useQueryString } from "@ironworks/sdk";
import { Button, Choice, Combobox, Empty, Page, buttonClass, words } from "@ironworks/ui";
import type { ReactNode } from "react";

import type { Model } from "./models.ts";
import { t } from "./words.ts";

const SHOWN_TENANTS = 8;

/** Models are called from a tenant: elsewhere one is chosen first. */
export function InTenant({ children }: { children: (scope: string, base: string) => ReactNode }) {
  const { scope } = usePlace();
  const { scopes, services } = useBootstrap();
  const go = useGo();
  const gateway = services["gateway"];
  if (levelOf(scope) === "tenant" && gateway) return children(scope, `${gateway}/v1`);
  const tenants = scopes.filter(({ path, kind }) => kind === "Tenant" && (scope === "-" || path.startsWith(`${scope}.`)));
  return (
    <Page title={t("title")}>
      {gateway ? (
        <Empty
          icon="chat"
          title={t("chooseTitle")}
          actions={tenants.slice(0, SHOWN_TENANTS).map(({ path }) => (
            <Button key={path} onClick={() => go(pageAddress(path, "playground"))}>
              {path}
            </Button>
          ))}
        >
          {tenants.length > 0 ? t("chooseHint") : t("chooseNone")}
        </Empty>
      ) : (
        <Empty icon="offline" title={t("noGateway")} />
      )}
    </Page>
  );
}

/** Chat or embeddings; the scope stays, the models differ. */
export function WhichPage({ scope, page }: { scope: string; page: "chat" | "embeddings" }) {
  const go = useGo();
  return (
    <Choice
      label={t("kinds")}
      value={page}
      onChange={(next) => go(pageAddress(scope, "playground", next === "chat" ? "" : next))}
      options={[
        { value: "chat", label: t("chat") },
        { value: "embeddings", label: t("embeddings") },
      ]}
    />
  );
}

/** Nothing that could be called: how there comes to be something. */
export function NoModels({ scope, embedders }: { scope: string; embedders?: boolean }) {
  const can = useCan();
  const deploy = can("endpoint:create", scope) && (
    <Link to={pageAddress(scope, "endpoints", "new")} className={buttonClass("primary")}>
      {t("deploy")}
    </Link>
  );
  return (
    <div className="panel">
      <Empty icon="cpu" title={t(embedders ? "noEmbedders" : "noModels")} actions={deploy}>
        {t(embedders ? "noEmbeddersHint" : "noModelsHint")}
      </Empty>
    </div>
  );
}

/** The model that a word of the address names. */
export function ModelChoice({ label, word, value, models }: { label: string; word: string; value: string; models: readonly Model[] }) {
  const [, set] = useQueryString();
  const options = models.map(({ id, kind, phase }) => ({ value: id, label: id, hint: `${t(kind)}, ${words(phase).toLowerCase()}` }));
  const known = options.some((option) => option.value === value);
  return (
    <Combobox
      label={label}
      value={value}
      options={known || !value ? options : [{ value, label: value, hint: t("notThere") }, ...options]}
      onChange={(name) => set({ [word]: name })}
      className="min-w-0 flex-1"
    />
  );
}
