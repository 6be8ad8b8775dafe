/** One request's whole story: how it went, what it used, what that cost, and where that is booked. */
import { ApiError, Link, api, live, pageAddress, request, tell, unwrap, useCan, usePlace, useQuery, useQueryWord } from "@ironworks/sdk";
import { Badge, Callout, Empty, Facts, Id, Loading, Page, Section, Tabs, Time } from "@ironworks/ui";
import type { Fact } from "@ironworks/ui";
import { useState } from "react";
import type { ReactNode } from "react";

import { Chain, Costs } from "./money.tsx";
import { outcomeOf, toneOfStatus } from "./outcomes.ts";
import { Texts } from "./texts.tsx";
import { statusOf, useKeyNames } from "./usage.ts";
import type { Explained, OnInvoice, Usage } from "./usage.ts";
import { Waterfall } from "./waterfall-chart.tsx";
import { t } from "./words.ts";

/** A request that has just ended is charged within a second, which the stream tells; only then is it known that none is. */
const ARRIVES_MS = 6_000;

export default function RequestPage() {
  const { scope, params } = usePlace();
  const id = params["request"] ?? "";
  const [opened] = useState(() => Date.now());
  const { data, error, isPending, failureCount } = useQuery({
    queryKey: ["request", scope, id],
    ...live(scope, "usage"),
    retry: (_, problem) => problem instanceof ApiError && problem.status === 404 && Date.now() < opened + ARRIVES_MS,
    retryDelay: ARRIVES_MS,
    queryFn: () =>
      unwrap(api.GET("/api/v1/scopes/{path}/usage/requests/{request_id}", { params: { path: { path: scope, request_id: id } } })),
  });
  if (error instanceof ApiError && error.status === 404) {
    return (
      <Empty icon="search" title={t("gone")}>
        {t("goneHint", { scope })}
      </Empty>
    );
  }
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (isPending) {
    return (
      <>
        {failureCount > 0 && <p className="px-6 pt-6 text-sm text-muted">{t("arriving")}</p>}
        <Loading />
      </>
    );
  }
  return <Shown usage={data} />;
}

function Shown({ usage }: { usage: Usage }) {
  const can = useCan();
  const [tab, setTab] = useQueryWord("tab", "story");
  const status = statusOf(usage);
  const story = { id: "story", label: t("story"), content: <Story usage={usage} /> };
  const readable = can("endpoint:trace-read", usage.scope);
  return (
    <Page
      title={<span className="font-mono text-lg">{usage.request_id}</span>}
      meta={<Badge tone={toneOfStatus(status)}>{status || "–"}</Badge>}
    >
      {readable ? (
        <Tabs
          label={usage.request_id}
          value={tab}
          onChange={setTab}
          tabs={[story, { id: "texts", label: t("texts"), content: <Texts usage={usage} /> }]}
        />
      ) : (
        story.content
      )}
    </Page>
  );
}

function Story({ usage }: { usage: Usage }) {
  const can = useCan();
  const id = usage.request_id;
  const money = useQuery({
    queryKey: ["explained", id],
    enabled: can("billing:read", usage.scope),
    ...live(usage.scope, "ledger"),
    queryFn: () => request<Explained>(`/api/v1/billing/requests/${encodeURIComponent(id)}`),
  });
  const invoiced = useQuery({
    queryKey: ["on-invoice", id],
    enabled: can("invoice:read", usage.scope),
    ...live(usage.scope, "invoices"),
    queryFn: () => request<{ items: OnInvoice[] }>(`/api/v1/billing/requests/${encodeURIComponent(id)}/invoice-lines`),
  });
  return (
    <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,26rem)]">
      <div className="flex min-w-0 flex-col gap-4">
        <What usage={usage} />
        <Waterfall usage={usage} />
        {money.error && <Callout tone="bad">{tell(money.error)}</Callout>}
        <Costs usage={usage} explained={money.data} pending={money.isEnabled && money.isPending} />
        {money.data && <Chain explained={money.data} lines={invoiced.data?.items ?? null} />}
      </div>
      <Section title={t("facts")}>
        <AboutIt usage={usage} />
      </Section>
    </div>
  );
}

function What({ usage }: { usage: Usage }) {
  const status = statusOf(usage);
  const outcome = outcomeOf(status, usage.course?.error ?? null, usage.course?.tries, usage.cached_answer);
  if (!outcome.why) return null;
  const tone = outcome.tone === "idle" ? "info" : outcome.tone === "ok" ? "info" : outcome.tone;
  return (
    <Callout tone={tone} title={outcome.title}>
      <p>{outcome.why}</p>
      {outcome.remedy && <p className="mt-1">{outcome.remedy}</p>}
      {usage.course?.error && <p className="mt-1 font-mono text-xs text-muted">{`${status} ${usage.course.error}`}</p>}
    </Callout>
  );
}

function AboutIt({ usage }: { usage: Usage }) {
  const { scope } = usePlace();
  const can = useCan();
  const keys = useKeyNames(usage.scope, usage.key_uid !== null && can("api-key:read", usage.scope));
  const key = usage.key_uid ? keys.get(usage.key_uid) : undefined;
  const like = (name: string, value: string | null | undefined, shown: ReactNode = value): ReactNode =>
    value ? (
      <Link to={pageAddress(scope, "requests", "", { [name]: value })} title={t("filterBy")} className="hover:text-accent hover:underline">
        {shown}
      </Link>
    ) : (
      <span className="text-faint">–</span>
    );
  const began = usage.course ? new Date(Date.parse(usage.occurred_at) - usage.course.duration_ms).toISOString() : null;
  const operation = usage.dimensions["operation"];
  const items: Fact[] = [
    { label: t("id"), value: <Id text={usage.request_id} /> },
    ...(usage.client_request_id ? [{ label: t("clientId"), value: <Id text={usage.client_request_id} /> }] : []),
    {
      label: t("operation"),
      value: (
        <>
          <span className="font-mono text-xs">{operation ?? "–"}</span>
          {usage.course && <span className="ml-2 text-xs text-faint">{t(usage.course.streamed ? "streamed" : "wholeAnswer")}</span>}
        </>
      ),
    },
    { label: t("scope"), value: usage.scope },
    { label: t("key"), value: like("key", usage.key_uid, key?.metadata.name ?? <span className="text-muted">{t("unknownKey")}</span>) },
    { label: t("user"), value: like("user", usage.user) },
    { label: t("route"), value: like("route", usage.route) },
    { label: t("served"), value: usage.endpoint ? like("endpoint", usage.endpoint) : <span className="text-faint">{t("nobody")}</span> },
    { label: t("pricedAs"), value: like("model", usage.model) },
    ...(usage.course ? [{ label: t("tries"), value: String(usage.course.tries) }] : []),
    ...(began ? [{ label: t("began"), value: <Time at={began} exact /> }] : []),
    { label: t("ended"), value: <Time at={usage.occurred_at} exact /> },
    { label: t("recorded"), value: <Time at={usage.recorded_at} exact /> },
  ];
  const metadata = Object.entries(usage.metadata);
  return (
    <div className="flex flex-col gap-4">
      <Facts items={items} />
      {metadata.length > 0 && (
        <div>
          <h3 className="mb-1.5 text-xs font-medium text-muted">{t("metadata")}</h3>
          <Facts items={metadata.map(([name, value]) => ({ key: name, label: name, value }))} />
        </div>
      )}
    </div>
  );
}
