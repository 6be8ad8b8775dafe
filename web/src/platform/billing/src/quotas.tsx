/** How many of each there may be, what is used of it, and the operator's word on it. */
import { api, live, tell, unwrap, useBootstrap, useCan, usePages } from "@ironworks/sdk";
import { Badge, Button, Field, Input, Lasting, Section, Textarea, endOf, formatNumber, notify, words } from "@ironworks/ui";
import { useState } from "react";

import { showDay } from "./days.ts";
import { FormDialog } from "./form-dialog.tsx";
import { Bar } from "./parts.tsx";
import type { Quota } from "./types.ts";
import { t } from "./words.ts";

export function Quotas({ scope }: { scope: string }) {
  const can = useCan();
  const kinds = useBootstrap().kinds.map(({ plural }) => plural); // what there is of them is used
  const list = usePages<Quota>(`/api/v1/scopes/${encodeURIComponent(scope)}/quotas`, {}, { enabled: can("quota:read", scope), limit: 200, ...live(scope, "quotas", ...kinds) });
  const [changing, setChanging] = useState<Quota | null>(null);
  const mayOverride = can("quota:override", "-");
  return (
    <Section title={t("quotas")} hint={t("quotasHint", { scope })} flush>
      {list.error && <p className="p-4 text-sm text-bad">{tell(list.error)}</p>}
      {!list.loading && !list.error && list.items.length === 0 && <p className="p-4 text-sm text-muted">{t("noQuotas")}</p>}
      <ul className="divide-y divide-line">
        {list.items.map((quota) => (
          <li key={`${quota.scope} ${quota.quota}`} className="flex items-center gap-3 px-4 py-2">
            <span className="flex min-w-0 flex-1 flex-col gap-1.5">
              <span className="flex flex-wrap items-baseline gap-x-2">
                <span className="min-w-0 flex-1">{words(quota.quota)}</span>
                <span className="nums text-xs text-muted">{usedWords(quota)}</span>
              </span>
              {quota.limit !== null && quota.used !== null && <Bar label={words(quota.quota)} used={quota.used} limit={quota.limit} />}
              {quota.overridden && (
                <span className="text-xs text-faint">
                  <Badge tone="info">{t("byOperator")}</Badge>{" "}
                  {[quota.expires_at && t("overrideUntil", { day: showDay(quota.expires_at) }), quota.reason].filter(Boolean).join(", ")}
                </span>
              )}
            </span>
            {mayOverride && (
              <Button small onClick={() => setChanging(quota)} aria-label={t("overrideTitle", { quota: words(quota.quota), scope: quota.scope })}>
                {t("override")}
              </Button>
            )}
          </li>
        ))}
      </ul>
      {changing && <Override quota={changing} onClose={() => setChanging(null)} />}
    </Section>
  );
}

function usedWords({ used, limit }: Quota): string {
  const now = used === null ? "–" : formatNumber(used);
  return limit === null ? t("quotaUnlimited", { used: now }) : t("quotaOf", { used: now, limit: formatNumber(limit) });
}

const LIVES = [7, 30, 90, 365];

function Override({ quota, onClose }: { quota: Quota; onClose: () => void }) {
  const [limit, setLimit] = useState(quota.limit === null ? "" : String(quota.limit));
  const [days, setDays] = useState("");
  const [reason, setReason] = useState(quota.overridden ? (quota.reason ?? "") : "");
  const place = { params: { path: { path: quota.scope, name: quota.quota } } };
  const named = words(quota.quota).toLowerCase();
  const set = async () => {
    const body = { limit: limit.trim() === "" ? null : Number(limit), expires_at: endOf(days), reason };
    await unwrap(api.PUT("/api/v1/scopes/{path}/quotas/{name}", { ...place, body }));
    notify("ok", t("overrideSet", { quota: named }));
  };
  const remove = async () => {
    await unwrap(api.DELETE("/api/v1/scopes/{path}/quotas/{name}", place));
    notify("ok", t("overrideRemoved"));
  };
  return (
    <FormDialog
      title={t("overrideTitle", { quota: named, scope: quota.scope })}
      action={t("overrideSave")}
      onClose={onClose}
      onSubmit={set}
      {...(quota.overridden && { other: { label: t("overrideRemove"), run: remove } })}
    >
      <Field label={t("overrideLimit")} hint={t("overrideLimitHint")}>
        {(ids) => <Input {...ids} type="number" min={0} step={1} value={limit} onChange={(event) => setLimit(event.target.value)} />}
      </Field>
      <Field label={t("overrideDays")}>{(ids) => <Lasting {...ids} value={days} onChange={setDays} lives={LIVES} endless={t("overrideForever")} />}</Field>
      <Field label={t("reason")}>{(ids) => <Textarea {...ids} rows={2} maxLength={500} value={reason} onChange={(event) => setReason(event.target.value)} />}</Field>
    </FormDialog>
  );
}
