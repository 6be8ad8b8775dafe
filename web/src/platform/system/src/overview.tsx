/** How the installation is: what somebody should look at, and every part, queue, consumer, worker and gateway. */
import { Link, kindAddress, pageAddress, useBootstrap, usePlace } from "@ironworks/sdk";
import { Badge, Callout, Icon, Page, Phase, Section, Skeleton, Stat, Time, Tip, cx, formatBytes, formatDuration, formatNumber, useNow } from "@ironworks/ui";

import { Grid } from "./grid.tsx";
import { useSystem } from "./state.ts";
import type { Consumer, GatewayProcess, Incident, Part, Queue, System } from "./state.ts";
import { LONG_LAG, MUCH_BEHIND, troublesOf } from "./troubles.ts";
import type { Trouble } from "./troubles.ts";
import { t } from "./words.ts";

const LOOKS = { live: "bg-ok", connecting: "bg-info animate-pulse", lost: "bg-bad" } as const;

export default function Overview() {
  const seen = useSystem();
  const now = useNow();
  const { system, gateways, connection, problem } = seen;
  const mark = (
    <span aria-live="polite" className="inline-flex items-center gap-1.5 text-xs text-muted" data-system={connection}>
      <span aria-hidden className={cx("size-1.5 rounded-full", LOOKS[connection])} />
      {t(connection)}
    </span>
  );
  return (
    <Page title={t("title")} meta={mark}>
      {connection === "lost" && problem && <Callout tone="bad">{problem.message}</Callout>}
      {!system && !problem && <Skeleton className="h-96 w-full" />}
      {system && (
        <>
          <Figures system={system} />
          <Attention troubles={troublesOf(seen, now.getTime())} />
          <div className="grid items-start gap-4 2xl:grid-cols-2">
            <Parts parts={system.parts} />
            <Gateways processes={gateways?.processes ?? []} />
            <Queues queues={system.queues} />
            <Consumers consumers={system.consumers} position={system.change_log.position} />
            <Workers workers={system.workers} />
            <Incidents incidents={gateways?.incidents ?? []} />
          </div>
        </>
      )}
    </Page>
  );
}

function Figures({ system }: { system: System }) {
  const { scope } = usePlace();
  const sum = (count: (queue: Queue) => number) => system.queues.reduce((total, queue) => total + count(queue), 0);
  const behind = Math.max(0, ...system.consumers.map((consumer) => consumer.behind));
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Stat icon="server" label={t("partsStat")} value={t("partsValue", { ready: system.parts.filter((part) => part.state === "ready").length, all: system.parts.length })} />
      <Stat
        icon="boxes"
        label={t("queueStat")}
        value={formatNumber(sum((queue) => queue.due))}
        note={t("queueNote", { working: sum((queue) => queue.working), failing: sum((queue) => queue.failing) })}
      />
      <Stat icon="clock" label={t("lagStat")} value={formatNumber(behind)} note={t("lagNote")} />
      <Link to={pageAddress(scope, "system", "dead-letters")} className="rounded-lg hover:brightness-110">
        <Stat icon="alert" label={t("lettersStat")} value={formatNumber(system.dead_letters)} note={t("lettersNote")} />
      </Link>
    </div>
  );
}

function Attention({ troubles }: { troubles: Trouble[] }) {
  if (troubles.length === 0) {
    return (
      <Callout tone="ok" title={t("wellTitle")}>
        {t("wellHint")}
      </Callout>
    );
  }
  return (
    <Section title={t("attention")} flush>
      <ul className="divide-y divide-line">
        {troubles.map((trouble) => (
          <li key={`${trouble.about} ${trouble.text}`} className="flex items-start gap-2.5 px-4 py-2">
            <Icon name={trouble.tone === "bad" ? "error" : "alert"} className={cx("mt-0.5", trouble.tone === "bad" ? "text-bad" : "text-warn")} />
            <span className="min-w-0 flex-1 text-sm break-words">
              <span className="mr-2 font-medium">{trouble.about}</span>
              <span className="text-muted">{trouble.text}</span>
            </span>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Parts({ parts }: { parts: Part[] }) {
  const now = useNow().getTime();
  const rows = parts.map((part) => ({
    key: part.name,
    cells: [
      <span key="name" className="font-medium break-all">
        {part.name}
        {part.state !== "ready" && part.message && <span className="block text-xs font-normal text-muted">{part.message}</span>}
      </span>,
      <Phase key="state" phase={part.state} />,
      part.pid ?? "–",
      <span key="for" title={part.since} className="whitespace-nowrap">
        {formatDuration(Math.max(0, now - Date.parse(part.since)))}
      </span>,
      part.restarts > 0 ? (
        <span key="restarts" className="text-warn">
          {part.restarts}
        </span>
      ) : (
        0
      ),
      <span key="address" className="font-mono text-xs text-muted">
        {part.address || "–"}
      </span>,
    ],
  }));
  const heads = [
    { label: t("name") }, { label: t("state") }, { label: t("pid"), right: true, secondary: true }, { label: t("uptime"), right: true },
    { label: t("restarts"), right: true, secondary: true }, { label: t("address"), secondary: true },
  ];
  return (
    <Section title={t("parts")} flush>
      <Grid label={t("parts")} heads={heads} rows={rows} empty={t("noParts")} />
    </Section>
  );
}

/** `ok` is no phase of a resource; the words that people know are. */
const STATUS: Record<GatewayProcess["status"], string> = { ok: "Healthy", degraded: "Degraded", unavailable: "Failed", silent: "Lost", stopped: "Stopped" };

function Gateways({ processes }: { processes: GatewayProcess[] }) {
  const rows = processes.map((process) => ({
    key: process.uid,
    cells: [
      <span key="host" className="font-medium">
        {process.host} <span className="nums text-xs font-normal text-faint">{process.pid}</span>
        {process.troubles.map((trouble) => (
          <span key={`${trouble.component} ${trouble.reason}`} className="block text-xs font-normal text-muted">
            <span className={trouble.state === "failing" ? "text-bad" : "text-warn"}>{trouble.component}</span> {trouble.message}
            <span className="block text-faint">{t("meanwhile", { text: trouble.meanwhile })}</span>
          </span>
        ))}
      </span>,
      <Phase key="status" phase={STATUS[process.status]} />,
      <Uncharged key="uncharged" process={process} />,
      <Time key="started" at={process.started_at} />,
      <Time key="reported" at={process.reported_at} />,
    ],
  }));
  const heads = [
    { label: t("host") }, { label: t("state") }, { label: t("uncharged"), right: true }, { label: t("started"), right: true, secondary: true },
    { label: t("reported"), right: true, secondary: true },
  ];
  return (
    <Section title={t("gateways")} hint={t("gatewaysHint")} flush>
      <Grid label={t("gateways")} heads={heads} rows={rows} empty={t("noGateways")} />
    </Section>
  );
}

/** How far the charge of a process's usage is behind; of one that stopped nothing is left, or others settle it. */
function Uncharged({ process: { status, lag_seconds, waiting_bytes } }: { process: GatewayProcess }) {
  if (status === "stopped") return <span className="text-faint">–</span>;
  return (
    <Tip text={t("unchargedHint", { bytes: formatBytes(waiting_bytes) })}>
      <span tabIndex={0} className={cx("whitespace-nowrap", lag_seconds > LONG_LAG && "font-medium text-warn")}>
        {formatDuration(lag_seconds * 1000)}
      </span>
    </Tip>
  );
}

function Queues({ queues }: { queues: Queue[] }) {
  const { kinds } = useBootstrap();
  const ordered = [...queues].sort((a, b) => b.failing - a.failing || b.due - a.due || (a.kind < b.kind ? -1 : 1));
  const rows = ordered.map((queue) => {
    const kind = kinds.find((one) => one.name === queue.kind);
    return {
      key: queue.kind,
      cells: [
        <span key="kind" className="font-medium">
          {kind ? (
            <Link to={kindAddress("-", kind.plural)} className="hover:text-accent hover:underline">
              {queue.kind}
            </Link>
          ) : (
            queue.kind
          )}
          {queue.last_error && <span className="block max-w-prose text-xs font-normal break-words text-muted">{queue.last_error}</span>}
        </span>,
        queue.due,
        queue.working,
        <span key="failing" className={queue.failing > 0 ? "text-warn" : ""}>
          {queue.failing}
        </span>,
        queue.oldest_due_at ? <Time key="waits" at={queue.oldest_due_at} /> : <span className="text-faint">–</span>,
      ],
    };
  });
  const heads = [
    { label: t("kind") }, { label: t("due"), right: true }, { label: t("working"), right: true }, { label: t("failing"), right: true },
    { label: t("waits"), right: true, secondary: true },
  ];
  return (
    <Section title={t("queues")} flush>
      <Grid label={t("queues")} heads={heads} rows={rows} empty={t("noQueues")} />
    </Section>
  );
}

function Consumers({ consumers, position }: { consumers: Consumer[]; position: number }) {
  const ordered = [...consumers].sort((a, b) => b.attempts - a.attempts || b.behind - a.behind || (a.name < b.name ? -1 : 1));
  const rows = ordered.map((consumer) => ({
    key: consumer.name,
    cells: [
      <span key="name" className="break-all">
        {consumer.name}
        {consumer.error && (
          <span className="block text-xs break-words text-bad">
            {consumer.error}
            {consumer.retry_at && (
              <span className="ml-2 text-faint">
                {t("nextTry")} <Time at={consumer.retry_at} />
              </span>
            )}
          </span>
        )}
      </span>,
      consumer.behind > MUCH_BEHIND ? <Badge tone="warn">{formatNumber(consumer.behind)}</Badge> : formatNumber(consumer.behind),
      <span key="tries" className={consumer.attempts > 0 ? "text-bad" : ""}>
        {consumer.attempts}
      </span>,
      <Time key="moved" at={consumer.updated_at} />,
    ],
  }));
  const heads = [{ label: t("name") }, { label: t("behind"), right: true }, { label: t("failures"), right: true, secondary: true }, { label: t("moved"), right: true, secondary: true }];
  return (
    <Section title={t("consumers")} hint={t("consumersHint", { position: formatNumber(position) })} flush>
      <Grid label={t("consumers")} heads={heads} rows={rows} empty="–" />
    </Section>
  );
}

function Workers({ workers }: { workers: System["workers"] }) {
  const rows = workers.map((worker) => ({
    key: worker.id,
    cells: [
      <span key="host" className="font-medium">
        {worker.host}
      </span>,
      <span key="id" className="font-mono text-xs text-muted">
        {worker.id}
      </span>,
      <Time key="heartbeat" at={worker.heartbeat_at} />,
    ],
  }));
  return (
    <Section title={t("workers")} flush>
      <Grid label={t("workers")} heads={[{ label: t("host") }, { label: t("id"), secondary: true }, { label: t("heartbeat"), right: true }]} rows={rows} empty={t("noWorkers")} />
    </Section>
  );
}

function Incidents({ incidents }: { incidents: Incident[] }) {
  return (
    <Section title={t("incidents")} flush>
      {incidents.length === 0 ? (
        <p className="px-4 py-3 text-sm text-muted">{t("noIncidents")}</p>
      ) : (
        <ul className="divide-y divide-line">
          {incidents.map((one) => (
            <li key={`${one.process} ${one.component} ${one.since}`} className="flex flex-wrap items-baseline gap-x-3 px-4 py-2 text-sm">
              <span className="font-medium">{one.component}</span>
              <span className="min-w-0 flex-1 break-words text-muted">{one.message}</span>
              <span className="text-xs text-faint">
                <Time at={one.since} />{" "}
                {one.until ? t("lasted", { time: formatDuration(Math.max(0, Date.parse(one.until) - Date.parse(one.since))) }) : <Badge tone="bad">{t("goesOn")}</Badge>}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}
