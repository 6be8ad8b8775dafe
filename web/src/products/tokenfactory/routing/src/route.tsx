/** One route: what its name leads to and how that stands, what went through it, how to call it. */
import {
  Link, deleteResource, levelOf, pageAddress, resourceAddress, tell, useCan, useGo, usePlace, useResource,
} from "@ironworks/sdk";
import {
  Button, Callout, CodeBlock, Conditions, Confirm, Empty, Facts, Id, Loading, Page, Phase, Section, Stat, Time, buttonClass, formatBytes, formatDuration,
  formatMoney, formatNumber, notify, parseMoney,
} from "@ironworks/ui";
import { useState } from "react";

import { Drawing } from "./drawing.tsx";
import { useRouteHealth } from "./health.ts";
import { useCurl } from "./snippet.ts";
import { useTraffic } from "./traffic.ts";
import type { Traffic } from "./traffic.ts";
import { ROUTES, publicName, routeAddress } from "./types.ts";
import type { Route } from "./types.ts";
import { t } from "./words.ts";

export default function RoutePage() {
  const { params } = usePlace();
  const { at = "-", name = "" } = params;
  const { data, error, isPending } = useResource(ROUTES, at, name);
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (isPending) return <Loading />;
  if (!data) return <Empty icon="search" title={t("gone", { name })}>{t("goneHint")}</Empty>;
  return <Shown route={data as unknown as Route} />;
}

function Shown({ route }: { route: Route }) {
  const { scope } = usePlace();
  const can = useCan();
  const [deleting, setDeleting] = useState(false);
  const { name, scope: at } = route.metadata;
  const model = publicName(route);
  const { data: traffic } = useTraffic(scope, route.metadata.uid);
  const { data: health } = useRouteHealth(route);
  const living = !route.metadata.deletion_timestamp;
  return (
    <Page
      title={model}
      meta={<Phase phase={route.status.phase} />}
      actions={
        <>
          {levelOf(scope) === "tenant" && can("endpoint:invoke", scope) && (
            <Link to={pageAddress(scope, "playground", "", { model })} className={buttonClass("primary")}>
              {t("tryIt")}
            </Link>
          )}
          {can("route:update", at) && living && (
            <Link to={routeAddress(scope, route, "edit")} className={buttonClass("normal")}>
              {t("edit")}
            </Link>
          )}
          {can("route:delete", at) && living && (
            <Button look="danger" icon="delete" onClick={() => setDeleting(true)}>
              {t("delete")}
            </Button>
          )}
          <Link to={resourceAddress(scope, ROUTES, at, name)} className={buttonClass("quiet")}>
            {t("all")}
          </Link>
        </>
      }
    >
      <Section title={t("targets")}>
        <Drawing route={route} health={health} />
      </Section>
      {traffic && <LastDay traffic={traffic} />}
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,28rem)]">
        <div className="flex min-w-0 flex-col gap-4">
          <Calling model={model} />
          <Section title={t("conditions")}>
            <div className="-my-2">
              <Conditions items={route.status.conditions} />
            </div>
          </Section>
        </div>
        <RouteFacts route={route} />
      </div>
      {deleting && <DeleteDialog route={route} onClose={() => setDeleting(false)} />}
    </Page>
  );
}

function LastDay({ traffic }: { traffic: Traffic }) {
  const { requests, server_errors, first_token_ms, latency_ms, cost } = traffic.total;
  if (requests === 0) return <p className="text-sm text-faint">{t("noTraffic")}</p>;
  return (
    <section aria-label={t("lastDay")}>
      <h2 className="mb-2 text-sm font-semibold">{t("lastDay")}</h2>
      <div className="grid grid-cols-2 gap-3 md:grid-cols-3 xl:grid-cols-5">
        <Stat label={t("requests")} value={formatNumber(requests)} />
        <Stat label={t("failed")} value={formatNumber(server_errors ?? 0)} note={t("failedHint")} />
        {first_token_ms && <Stat label={t("firstToken")} value={formatDuration(first_token_ms.p50)} note={t("half")} />}
        {latency_ms && <Stat label={t("latency")} value={formatDuration(latency_ms.p50)} note={t("half")} />}
        {cost !== null && <Stat label={t("cost")} value={formatMoney(parseMoney(cost), traffic.currency)} />}
      </div>
    </section>
  );
}

function Calling({ model }: { model: string }) {
  const curl = useCurl(model);
  return (
    <Section title={t("callIt")} hint={t("callHint")}>
      <CodeBlock label="curl" text={curl} />
    </Section>
  );
}

function RouteFacts({ route }: { route: Route }) {
  const { spec, metadata } = route;
  const { cache } = spec;
  return (
    <Section title={t("facts")}>
      <Facts
        items={[
          { label: t("writtenAs"), value: <Id text={publicName(route)} /> },
          { label: t("name"), value: <Id text={`${metadata.scope}/${metadata.name}`} /> },
          { label: t("reaches"), value: t("reachesBelow", { scope: metadata.scope }) },
          { label: t("tries"), value: spec.tries ?? 3 },
          {
            label: t("cache"),
            value: cache ? `${t("cacheFor", { time: formatDuration((cache.ttl_seconds ?? 300) * 1000) })}, ${formatBytes(cache.max_bytes ?? 16 * 1024 ** 2)}` : t("cacheOff"),
          },
          { label: t("age"), value: <Time at={metadata.creation_timestamp} /> },
        ]}
      />
    </Section>
  );
}

function DeleteDialog({ route, onClose }: { route: Route; onClose: () => void }) {
  const { scope } = usePlace();
  const go = useGo();
  const { name, scope: at } = route.metadata;
  const remove = async () => {
    await deleteResource(ROUTES, at, name);
    notify("ok", t("deleted", { name }));
    go(pageAddress(scope, "routing", "routes"));
  };
  return (
    <Confirm open onClose={onClose} title={t("deleteTitle", { name })} action={t("delete")} word={name} onConfirm={remove}>
      <p className="text-sm text-muted">{t("deleteHint", { model: publicName(route) })}</p>
    </Confirm>
  );
}
