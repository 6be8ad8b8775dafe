/** One endpoint: how it is, how to call it, what it writes. */
import {
  Link, callAs, pageAddress, patchResource, resourceAddress, tell, useBootstrap, useCan, useFeature, usePlace, useQueryWord, useRemember, useResource,
} from "@ironworks/sdk";
import type { Call } from "@ironworks/sdk";
import { Button, Callout, CodeBlock, Conditions, Empty, Facts, Id, Loading, Page, Phase, Section, Tabs, Time, buttonClass, notify } from "@ironworks/ui";
import { useState } from "react";

import { Logs } from "./logs.tsx";
import { Metrics } from "./metrics.tsx";
import { PLURAL } from "./types.ts";
import type { Endpoint } from "./types.ts";
import { t } from "./words.ts";

export default function EndpointPage() {
  const { params } = usePlace();
  const { at = "-", name = "" } = params;
  const { data, error, isPending } = useResource(PLURAL, at, name);
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (isPending) return <Loading />;
  if (!data) return <Gone name={name} />;
  return <Shown endpoint={data as unknown as Endpoint} />;
}

function Gone({ name }: { name: string }) {
  const { scope } = usePlace();
  const list = (
    <Link to={pageAddress(scope, "endpoints")} className={buttonClass("normal")}>
      {t("title")}
    </Link>
  );
  return (
    <Empty icon="search" title={t("gone", { name })} actions={list}>
      {t("goneHint")}
    </Empty>
  );
}

function Shown({ endpoint }: { endpoint: Endpoint }) {
  const { scope } = usePlace();
  const can = useCan();
  const [tab, setTab] = useQueryWord("tab", "overview");
  const { name, scope: at } = endpoint.metadata;
  return (
    <Page
      title={name}
      meta={<Phase phase={endpoint.status.phase} />}
      actions={
        <>
          <TryIt endpoint={endpoint} />
          {can("endpoint:update", at) && <PauseButton endpoint={endpoint} />}
          <Link to={resourceAddress(scope, PLURAL, at, name)} className={buttonClass("normal")}>
            {t("all")}
          </Link>
        </>
      }
    >
      <Tabs
        label={name}
        value={tab}
        onChange={setTab}
        tabs={[
          { id: "overview", label: t("overview"), content: <Overview endpoint={endpoint} /> },
          { id: "call", label: t("call"), content: <Calling endpoint={endpoint} /> },
          ...(can("usage:read", scope) ? [{ id: "metrics", label: t("metrics"), content: <Metrics endpoint={endpoint} /> }] : []),
          ...(can("endpoint:logs", at) ? [{ id: "logs", label: t("logs"), content: <Logs at={at} name={name} replicas={endpoint.status.replicas ?? []} /> }] : []),
        ]}
      />
    </Page>
  );
}

/** The playground's page for what the model does. */
const PAGES: Record<string, string> = { "text-generation": "", "text-embedding": "embeddings" };

function TryIt({ endpoint }: { endpoint: Endpoint }) {
  const can = useCan();
  const there = useFeature("playground");
  const { name, scope: at } = endpoint.metadata;
  const page = PAGES[endpoint.status.model?.task ?? ""];
  if (!there || page === undefined || !can("endpoint:invoke", at)) return null;
  return (
    <Link to={pageAddress(at, "playground", page, { model: name })} className={buttonClass("primary")}>
      {t("tryIt")}
    </Link>
  );
}

function PauseButton({ endpoint }: { endpoint: Endpoint }) {
  const remember = useRemember();
  const [busy, setBusy] = useState(false);
  const { name, scope: at } = endpoint.metadata;
  const { num } = endpoint.spec.replicas;
  const scale = async (to: number) => {
    setBusy(true);
    try {
      remember(PLURAL, await patchResource(PLURAL, at, name, { spec: { replicas: { num: to } } }));
      notify("ok", t(to === 0 ? "paused" : "resumed", { name }), { undo: () => void scale(num) });
    } catch (error) {
      notify("bad", tell(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button icon={num === 0 ? "play" : "stop"} busy={busy} onClick={() => void scale(num === 0 ? 1 : 0)}>
      {t(num === 0 ? "resume" : "pause")}
    </Button>
  );
}

function Overview({ endpoint }: { endpoint: Endpoint }) {
  const { spec, status, metadata } = endpoint;
  const { replicas = [], ready_replicas = 0, desired_replicas = 0 } = status;
  return (
    <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,28rem)]">
      <div className="flex min-w-0 flex-col gap-4">
        <Section title={t("conditions")}>
          <div className="-my-2">
            <Conditions items={status.conditions} />
          </div>
        </Section>
        <Section title={t("replicas")} hint={t("ready", { ready: ready_replicas, wanted: desired_replicas })} flush={replicas.length > 0}>
          {replicas.length === 0 ? (
            <p className="text-sm text-faint">{t("noReplicas")}</p>
          ) : (
            <ul className="divide-y divide-line">
              {replicas.map((replica) => (
                <li key={replica.name} className="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-2">
                  <Phase phase={replica.state} />
                  <span className="clip-line min-w-0 flex-1 font-mono text-xs">{replica.name}</span>
                  <span className="font-mono text-xs text-muted">{replica.address}</span>
                  {replica.restarts > 0 && (
                    <span className="text-xs text-warn">
                      {t("restarts")}: {replica.restarts}
                    </span>
                  )}
                </li>
              ))}
            </ul>
          )}
        </Section>
      </div>
      <Section>
        <Facts
          items={[
            { label: t("name"), value: <Id text={`${metadata.scope}/${metadata.name}`} /> },
            ...(status.service_url ? [{ label: t("url"), value: <Id text={status.service_url} /> }] : []),
            { label: t("model"), value: spec.model.name },
            ...(status.model
              ? [
                  { label: t("version"), value: status.model.version },
                  { label: t("task"), value: status.model.task },
                  { label: t("engine"), value: `${spec.engine.engine} ${status.model.engine_version}` },
                ]
              : []),
            { label: t("cluster"), value: spec.cluster },
            { label: t("age"), value: <Time at={metadata.creation_timestamp} /> },
          ]}
        />
      </Section>
    </div>
  );
}

function Calling({ endpoint }: { endpoint: Endpoint }) {
  const [language, setLanguage] = useQueryWord("in", "curl");
  const { services } = useBootstrap();
  const { service_url, model } = endpoint.status;
  const called = { base: service_url ?? `${services["gateway"]}/v1`, name: endpoint.metadata.name };
  const snippets = callAs(model?.task === "text-embedding" ? embedding(called) : chat(called));
  return (
    <div className="flex max-w-3xl flex-col gap-3">
      <p className="text-sm text-muted">{t("callHint")}</p>
      <Tabs
        label={t("call")}
        value={language}
        onChange={setLanguage}
        tabs={snippets.map((snippet) => ({ id: snippet.id, label: snippet.label, content: <CodeBlock label={snippet.label} text={snippet.text} /> }))}
      />
    </div>
  );
}

interface Called {
  base: string;
  name: string;
}

const chat = ({ base, name }: Called): Call => ({
  base, operation: "chat/completions", body: { model: name, messages: [{ role: "user", content: "Hello" }], stream: true },
});
const embedding = ({ base, name }: Called): Call => ({ base, operation: "embeddings", body: { model: name, input: ["Hello"] } });
