/** One provider: what a look at each upstream found, which models it exposes, which routes lead there. */
import {
  Link, levelOf, pageAddress, request, resourceAddress, tell, useCan, usePlace, useResource,
} from "@ironworks/sdk";
import { Badge, Button, Callout, Conditions, Empty, Facts, Id, Loading, Page, Phase, Section, Time, buttonClass, notify } from "@ironworks/ui";
import { useState } from "react";

import { isTold, standingOf, upstreamOf, useExternalHealth } from "./health.ts";
import type { Condition, ExternalHealth, LeadingRoute, TargetCondition } from "./health.ts";
import { encodeTarget } from "./options.ts";
import { Seen, StandingIcon, TargetLoad } from "./standing.tsx";
import { EXTERNALS, providerAddress } from "./types.ts";
import type { External, Upstream, UpstreamStatus } from "./types.ts";
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
  const { data: health } = useExternalHealth(external);
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
        <UpstreamSection key={upstream.name} external={external} upstream={upstream} seen={seen.get(upstream.name)} health={health} />
      ))}
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,28rem)]">
        <Section title={t("conditions")}>
          <div className="-my-2">
            <Conditions items={external.status.conditions} />
          </div>
        </Section>
        <LeadingHere external={external} health={health} />
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
  health: ExternalHealth | undefined;
}

function UpstreamSection({ external, upstream, seen, health }: UpstreamProps) {
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
            ...(health && health.routes.length > 0 ? [{ label: t("atGateways"), value: <AtGateways seen={upstreamOf(health, upstream.name)} processes={health.processes} failed={seen?.phase === "Failed"} /> }] : []),
          ]}
        />
        <Models external={external} upstream={upstream} />
      </div>
    </Section>
  );
}

interface AtGatewaysProps {
  seen: Condition;
  processes: number;
  /** The last look at it did. */
  failed: boolean;
}

/** How calls to it go, as far as they came by routes. */
function AtGateways({ seen, processes, failed }: AtGatewaysProps) {
  const standing = failed && !isTold(seen) ? "unknown" : standingOf(seen, undefined);
  return (
    <span className="flex items-start gap-2" data-upstream={standing}>
      <StandingIcon standing={standing} />
      <span className="min-w-0">
        {isTold(seen) ? <Seen seen={seen} processes={processes} /> : t(seen.state === "healthy" ? "sentThere" : "nobodyTells")}
        {seen.in_flight > 0 && <span className="nums block text-xs text-muted">{t("inFlight", { count: seen.in_flight })}</span>}
      </span>
    </span>
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

interface LeadingProps {
  external: External;
  health: ExternalHealth | undefined;
}

function LeadingHere({ external, health }: LeadingProps) {
  const { scope } = usePlace();
  const example = Object.keys(external.spec.upstreams[0]?.model_mapping ?? {})[0] ?? "model";
  const routes = health?.routes ?? [];
  return (
    <Section title={t("leadsHere")} flush={routes.length > 0}>
      {health && routes.length === 0 && <p className="text-sm text-faint">{t("noneLeads", { example: `${external.metadata.name}/${example}` })}</p>}
      {health && routes.length > 0 && (
        <ul className="divide-y divide-line">
          {routes.map((route) => (
            <Leading key={route.route} route={route} scope={scope} processes={health.processes} failed={external.status.phase === "Failed"} />
          ))}
          {health.more && <li className="px-4 py-2 text-xs text-faint">{t("moreLead")}</li>}
        </ul>
      )}
    </Section>
  );
}

interface LeadingRowProps {
  route: LeadingRoute;
  scope: string;
  processes: number;
  /** No upstream of the provider passed the last look. */
  failed: boolean;
}

function Leading({ route, scope, processes, failed }: LeadingRowProps) {
  const standing = (seen: TargetCondition) => (failed ? "ill" : standingOf(seen, undefined));
  return (
    <li className="flex flex-col gap-1.5 px-4 py-2.5">
      <div className="flex items-center gap-3">
        <Link to={pageAddress(scope, "routing", `routes/${route.route}`)} className="clip-line flex-1 font-medium hover:text-accent hover:underline">
          {route.model}
        </Link>
        <Phase phase={route.phase} />
      </div>
      {route.targets.map((seen, index) => (
        <div key={index} className="flex items-start gap-2 text-xs" data-standing={standing(seen)}>
          <StandingIcon standing={standing(seen)} />
          <div className="min-w-0 flex-1">
            <p className="flex flex-wrap gap-x-3 text-muted">
              <span className="break-all">{seen.target.replace(/^external /, "")}</span>
              <TargetLoad seen={seen} />
            </p>
            {isTold(seen) && <Seen seen={seen} processes={processes} />}
          </div>
        </div>
      ))}
    </li>
  );
}
