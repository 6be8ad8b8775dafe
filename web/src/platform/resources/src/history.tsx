/** What people and programs did to a resource, from the audit trail. */
import { live, request, useQuery } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";
import { Badge, Callout, Empty, Loading, Section, Time } from "@ironworks/ui";

import { t } from "./words.ts";

interface AuditRecord {
  uid: string;
  occurred_at: string;
  actor: string;
  action: string;
  result: string;
  before: { spec?: Record<string, unknown> } | null;
  after: { spec?: Record<string, unknown> } | null;
}

export function History({ resource, scope }: { resource: Resource; scope: string }) {
  const { metadata } = resource;
  const target = `${metadata.scope}/${metadata.name}`;
  const trail = useQuery({
    queryKey: ["audit", scope, target],
    ...live(scope, "audit"),
    queryFn: () => request<{ items: AuditRecord[] }>(`/api/v1/scopes/${encodeURIComponent(scope)}/audit?target=${encodeURIComponent(target)}`),
  });
  if (trail.isPending) return <Loading lines={4} />;
  if (trail.error) return <Callout tone="info">{t("noHistory")}</Callout>;
  if (trail.data.items.length === 0) return <Empty icon="log" title={t("history")}>{t("noHistory")}</Empty>;
  return (
    <Section flush>
      <ul className="divide-y divide-line">
        {trail.data.items.map((record) => (
          <li key={record.uid} className="grid gap-x-4 gap-y-0.5 px-4 py-2 sm:grid-cols-[10rem_minmax(0,1fr)_auto]">
            <span className="text-sm font-medium">{record.action.split(".").at(-1)}</span>
            <span className="min-w-0 text-xs break-words text-muted">
              {record.actor}
              {changedFields(record).length > 0 && <span className="block font-mono text-2xs text-faint">{changedFields(record).join(", ")}</span>}
            </span>
            <span className="flex items-center gap-2 text-xs text-faint">
              {record.result !== "ok" && <Badge tone="warn">{record.result}</Badge>}
              <Time at={record.occurred_at} />
            </span>
          </li>
        ))}
      </ul>
    </Section>
  );
}

/** The dotted fields whose value differs between before and after; none for what was made or removed. */
export function changedFields({ before, after }: Pick<AuditRecord, "before" | "after">): string[] {
  if (!before?.spec || !after?.spec) return [];
  return differing(before.spec, after.spec);
}

function differing(before: unknown, after: unknown, at = ""): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (!isObject(before) || !isObject(after)) return [at];
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) => differing(before[name], after[name], at ? `${at}.${name}` : name));
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
