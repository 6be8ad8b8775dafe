/** One provider: what a look at each upstream found, which models it exposes, which routes lead there. */
import {
  Link, levelOf, pageAddress, request, resourceAddress, splitReference, tell, useCan, usePlace, useResource, useResources,
} from "@ironworks/sdk";
import { Badge, Button, Callout, Conditions, Empty, Facts, Id, Loading, Page, Phase, Section, Time, buttonClass, notify } from "@ironworks/ui";
import { useState } from "react";

import { encodeTarget } from "./options.ts";
import { EXTERNALS, ROUTES, providerAddress, publicName, routeAddress } from "./types.ts";
import type { External, Route, Upstream, UpstreamStatus } from "./types.ts";
import { t } from "./words.ts";

export default function ProviderPage() {
  const { params } = usePlace();
  const { at = "-", name = "" } = params;
  const { data, error, isPending } = useResource(EXTERNALS, at, name);
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (isPending) return <Loading />;
  if (!data) return <Empty icon="search" title={t("gone", { name })}>{t("goneHint")}</Empty>;
  return <Shown external={data as unknown as External} />;
}

function Shown({ external }: { external: External }) {
  const { scope } = usePlace();
  const can = useCan();
  const { name, scope: at, display_name } = external.metadata;
  const seen = new Map((external.status.upstream_status ?? []).map((one) => [one.name, one]));
  return (
    <Page
      title={display_name ?? name}
      meta={<Phase phase={external.status.phase} />}
      actions={
        <>
          {can("external-endpoint:test", at) && <CheckButton external={external} />}
          {can("external-endpoint:update", at) && (
            <Link to={providerAddress(scope, external, "edit")} className={buttonClass("normal")}>
              {t("edit")}
            </Link>
          )}
          <Link to={resourceAddress(scope, EXTERNALS, at, name)} className={buttonClass("quiet")}>
            {t("all")}
          </Link>
        </>
      }
    >
      {external.spec.upstreams.map((upstream) => (
        <UpstreamSection key={upstream.name} external={external} upstream={upstream} seen={seen.get(upstream.name)} />
      ))}
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,28rem)]">
        <Section title={t("conditions")}>
          <div className="-my-2">
            <Conditions items={external.status.conditions} />
          </div>
        </Section>
        <LeadingHere external={external} />
      </div>
    </Page>
  );
}

function CheckButton({ external }: { external: External }) {
  const [busy, setBusy] = useState(false);
  const { name, scope } = external.metadata;
  const check = async () => {
    setBusy(true);
    try {
      const { upstream_status } = await request<{ upstream_status: UpstreamStatus[] }>(`/api/v1/scopes/${encodeURIComponent(scope)}/${EXTERNALS}/${name}:test`, { method: "POST" });
      const failed = upstream_status.filter(({ phase }) => phase === "Failed");
      if (failed.length === 0) notify("ok", t("checkedWell", { name }));
      else notify("bad", t("failedCheck"), { detail: failed.map((one) => `${one.name}: ${one.error_message}`).join("; ") });
    } catch (error) {
      notify("bad", tell(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button icon="refresh" busy={busy} onClick={() => void check()}>
      {t(busy ? "checking" : "check")}
    </Button>
  );
}

interface UpstreamProps {
  external: External;
  upstream: Upstream;
  seen: UpstreamStatus | undefined;
}

function UpstreamSection({ external, upstream, seen }: UpstreamProps) {
  const { checked_at } = external.status;
  return (
    <Section title={upstream.name} actions={seen && <Phase phase={seen.phase} />}>
      <div className="flex flex-col gap-4">
        {seen?.error_message && <Callout tone={seen.phase === "Failed" ? "bad" : "warn"}>{seen.error_message}</Callout>}
        <Facts
          items={[
            { label: t("address"), value: <Id text={upstream.url} /> },
            { label: t("dialect"), value: upstream.dialect === "openai" ? "OpenAI" : "Anthropic" },
            { label: t("credential"), value: upstream.auth.credential ? <Badge>{t("credentialKept")}</Badge> : t("credentialNone") },
            { label: t("checkedAt"), value: checked_at ? <Time at={checked_at} /> : t("neverChecked") },
          ]}
        />
        <Models external={external} upstream={upstream} />
      </div>
    </Section>
  );
}

function Models({ external, upstream }: { external: External; upstream: Upstream }) {
  const { scope } = usePlace();
  const can = useCan();
  const { name, scope: at } = external.metadata;
  const tries = levelOf(scope) === "tenant" && can("endpoint:invoke", scope);
  return (
    <div className="thin-scroll max-h-96 overflow-auto" tabIndex={0} role="group" aria-label={t("models")}>
      <table className="w-full text-sm">
        <thead>
          <tr className="border-b border-line text-left text-xs text-muted">
            <th className="py-1.5 pr-4 font-medium">{t("calledAs")}</th>
            <th className="py-1.5 pr-4 font-medium">{t("upstreamCalls")}</th>
            <th>
              <span className="sr-only">{t("routeTo")}</span>
            </th>
          </tr>
        </thead>
        <tbody className="divide-y divide-line">
          {Object.entries(upstream.model_mapping).map(([model, called]) => (
            <tr key={model}>
              <td className="py-1 pr-4">
                <Id text={`${name}/${model}`} />
              </td>
              <td className="py-1 pr-4 font-mono text-xs break-all text-muted">{called}</td>
              <td className="py-1">
                <span className="flex justify-end gap-1">
                  {tries && (
                    <Link to={pageAddress(scope, "playground", "", { model: `${name}/${model}` })} className={buttonClass("quiet", true)}>
                      {t("tryIt")}
                    </Link>
                  )}
                  {can("route:create", scope) && (
                    <Link
                      to={pageAddress(scope, "routing", "routes/new", { target: encodeTarget({ external: at === scope ? name : `${at}/${name}`, model }) })}
                      className={buttonClass("quiet", true)}
                    >
                      {t("routeTo")}
                    </Link>
                  )}
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function LeadingHere({ external }: { external: External }) {
  const { scope } = usePlace();
  const { name, scope: at } = external.metadata;
  const routes = useResources<Route>(ROUTES, scope, { inherited: true });
  const leading = routes.items.filter((route) =>
    route.spec.targets.some((target) => {
      const place = target.external ? splitReference(target.external, route.metadata.scope) : null;
      return place?.name === name && place.scope === at;
    }),
  );
  const example = Object.keys(external.spec.upstreams[0]?.model_mapping ?? {})[0] ?? "model";
  return (
    <Section title={t("leadsHere")} flush={leading.length > 0}>
      {leading.length === 0 ? (
        <p className="text-sm text-faint">{t("noneLeads", { example: `${name}/${example}` })}</p>
      ) : (
        <ul className="divide-y divide-line">
          {leading.map((route) => (
            <li key={route.metadata.uid} className="flex items-center gap-3 px-4 py-2">
              <Link to={routeAddress(scope, route)} className="clip-line flex-1 font-medium hover:text-accent hover:underline">
                {publicName(route)}
              </Link>
              <Phase phase={route.status.phase} />
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}
