/** The prompt and the answer, where they were kept: opened only when asked for, because reading them is audited. */
import { ApiError, Link, api, kindAddress, tell, unwrap, usePlace, useQuery } from "@ironworks/sdk";
import { Button, Callout, CodeBlock, Empty, Loading, Section, Time, buttonClass } from "@ironworks/ui";
import { useState } from "react";

import type { Usage } from "./usage.ts";
import { t } from "./words.ts";

export function Texts({ usage }: { usage: Usage }) {
  const [asked, setAsked] = useState(false);
  if (asked) return <Opened usage={usage} />;
  return (
    <Section>
      <Empty
        icon="shield"
        title={t("texts")}
        actions={
          <Button look="primary" icon="show" onClick={() => setAsked(true)}>
            {t("open")}
          </Button>
        }
      >
        {t("textsHint")}
      </Empty>
    </Section>
  );
}

function Opened({ usage }: { usage: Usage }) {
  const { scope } = usePlace();
  const { data, error, isPending } = useQuery({
    queryKey: ["trace", usage.request_id],
    staleTime: Infinity,
    gcTime: 0,
    retry: false,
    queryFn: () =>
      unwrap(api.GET("/api/v1/scopes/{path}/traces/{request_id}", { params: { path: { path: usage.scope, request_id: usage.request_id } } })),
  });
  if (error instanceof ApiError && error.status === 404) {
    return (
      <Section>
        <Empty
          icon="file"
          title={t("noTrace")}
          actions={
            <Link to={kindAddress(scope, "trace-policies")} className={buttonClass("normal")}>
              {t("policies")}
            </Link>
          }
        >
          {t("noTraceHint")}
        </Empty>
      </Section>
    );
  }
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (isPending) return <Loading />;
  return (
    <div className="flex flex-col gap-4">
      {data.truncated && <Callout tone="warn">{t("truncated")}</Callout>}
      <Section title={t("prompt")} hint={data.content_type}>
        <CodeBlock label={t("prompt")} text={pretty(data.request)} wrap />
      </Section>
      <Section title={t("answer")}>
        <CodeBlock label={t("answer")} text={pretty(data.answer)} wrap />
      </Section>
      <p className="text-xs text-faint">
        {t("untilWhen")} <Time at={data.expires_at} />
      </p>
    </div>
  );
}

/** JSON with its lines; anything else as it is. */
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
