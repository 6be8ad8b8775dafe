/** One record of the trail, with what it changed, beside the list. */
import { Link, live, request, resourceAddress, splitReference, tell, useBootstrap, useQuery } from "@ironworks/sdk";
import { Badge, Button, Callout, CodeBlock, Dialog, Facts, Id, Loading, Time } from "@ironworks/ui";
import type { Fact } from "@ironworks/ui";

import { changesOf, trailAddress } from "./records.ts";
import type { AuditRecord } from "./records.ts";
import { t } from "./words.ts";

const TONES = { ok: "ok", denied: "warn", failed: "bad" } as const;

export const Outcome = ({ result }: { result: AuditRecord["result"] }) =>
  result === "ok" ? <span className="text-xs text-faint">{t("ok")}</span> : <Badge tone={TONES[result]}>{t(result)}</Badge>;

interface PanelProps {
  scope: string;
  uid: string;
  /** The record where the list has it; by a link one may come to one that it has not. */
  known: AuditRecord | undefined;
  onClose: () => void;
  onFilter: (change: Record<string, string | undefined>) => void;
}

export function RecordPanel({ scope, uid, known, onClose, onFilter }: PanelProps) {
  const found = useQuery({
    queryKey: ["audit-record", scope, uid],
    enabled: !known,
    ...live(scope, "audit"),
    queryFn: () => request<{ items: AuditRecord[] }>(`${trailAddress(scope)}?${new URLSearchParams({ uid, limit: "1" })}`).then(({ items }) => items[0] ?? null),
  });
  const record = known ?? found.data;
  return (
    <Dialog open onClose={onClose} title={record ? <span className="font-mono text-sm">{record.action}</span> : t("record")} wide>
      {record && <Told record={record} scope={scope} onFilter={onFilter} />}
      {!record && found.isPending && <Loading lines={5} />}
      {!record && found.error && <Callout tone="bad">{tell(found.error)}</Callout>}
      {!record && !found.isPending && !found.error && <Callout tone="warn">{t("gone")}</Callout>}
    </Dialog>
  );
}

function Told({ record, scope, onFilter }: { record: AuditRecord; scope: string; onFilter: PanelProps["onFilter"] }) {
  const targetPage = useTargetPage(record, scope);
  const sealed = record.chain_seq === null ? t("notSealed") : t("sealedAs", { number: record.chain_seq, platform: record.platform === "-" ? t("abovePlatforms") : record.platform });
  const target = `${record.target_type} ${record.target_id}`;
  const facts: Fact[] = [
    { label: t("when"), value: <Time at={record.occurred_at} exact /> },
    { label: t("actor"), value: record.actor },
    { label: t("address"), value: <span className="font-mono text-xs">{record.address || "–"}</span> },
    {
      label: t("target"),
      value: targetPage ? (
        <Link to={targetPage} className="hover:text-accent hover:underline">
          {target}
        </Link>
      ) : (
        target
      ),
    },
    { label: t("scope"), value: record.scope },
    { label: t("result"), value: <Outcome result={record.result} /> },
    { label: t("request"), value: <Id text={record.correlation_id} /> },
    ...(record.client_request_id ? [{ label: t("clientRequest"), value: <Id text={record.client_request_id} /> }] : []),
    { label: t("chain"), value: sealed },
  ];
  return (
    <div className="flex flex-col gap-4 [&_time]:whitespace-normal">
      <Facts items={facts} />
      <div className="flex flex-wrap gap-2">
        <Button small onClick={() => onFilter({ correlation_id: record.correlation_id, range: "all" })}>
          {t("sameRequest")}
        </Button>
        <Button small onClick={() => onFilter({ target: record.target_id })}>
          {t("sameTarget")}
        </Button>
        <Button small onClick={() => onFilter({ actor: record.actor })}>
          {t("sameActor")}
        </Button>
      </div>
      <Changes record={record} />
      <details>
        <summary className="text-xs text-muted">{t("raw")}</summary>
        <CodeBlock label={t("raw")} text={JSON.stringify(record, null, 2)} className="mt-2" />
      </details>
    </div>
  );
}

/** Field by field: what it was, what it is. */
function Changes({ record }: { record: AuditRecord }) {
  const changes = changesOf(record);
  const both = record.before !== null && record.after !== null;
  return (
    <section className="flex flex-col gap-1.5">
      <h3 className="text-sm font-semibold">{t("changes")}</h3>
      {changes.length === 0 ? (
        <p className="text-sm text-muted">{t(record.before ?? record.after ? "noDifference" : "noChanges")}</p>
      ) : (
        <div className="thin-scroll overflow-x-auto rounded-md border border-line">
          <table className="w-full border-collapse text-xs">
            <thead>
              <tr className="border-b border-line text-left text-muted">
                <th scope="col" className="px-3 py-1.5 font-medium">
                  {t("field")}
                </th>
                {record.before && (
                  <th scope="col" className="px-3 py-1.5 font-medium">
                    {t("before")}
                  </th>
                )}
                {record.after && (
                  <th scope="col" className="px-3 py-1.5 font-medium">
                    {t("after")}
                  </th>
                )}
              </tr>
            </thead>
            <tbody className="divide-y divide-line font-mono">
              {changes.map((change) => (
                <tr key={change.field} className="align-top">
                  <th scope="row" className="px-3 py-1 text-left font-normal whitespace-nowrap text-muted">
                    {change.field}
                  </th>
                  {record.before && <Value text={change.before} tone={both ? "bg-bad-soft text-bad" : ""} />}
                  {record.after && <Value text={change.after} tone={both ? "bg-ok-soft text-ok" : ""} />}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

const Value = ({ text, tone }: { text: string | null; tone: string }) => (
  <td className="px-3 py-1">{text === null ? <span className="text-faint">–</span> : <span className={`rounded-sm px-1 break-all ${tone}`}>{text === "" ? "\"\"" : text}</span>}</td>
);

/** The page of what a record is about, where it is a resource of a kind that one knows. */
function useTargetPage(record: AuditRecord, scope: string): string | null {
  const { kinds } = useBootstrap();
  const kind = kinds.find((one) => one.name === record.target_type);
  if (!kind || !record.target_id.includes("/")) return null;
  const { scope: at, name } = splitReference(record.target_id, record.scope);
  return resourceAddress(scope, kind.plural, at, name);
}
