/** Records of the trail: what they say, what they changed, and how they leave the console as a file. */
export interface AuditRecord {
  uid: string;
  occurred_at: string;
  actor: string;
  actor_uid: string | null;
  actor_kind: string;
  address: string;
  action: string;
  target_type: string;
  target_id: string;
  scope: string;
  result: "ok" | "denied" | "failed";
  correlation_id: string;
  client_request_id: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  platform: string;
  chain_seq: number | null;
}

export const SPANS = { hour: 3_600_000, day: 86_400_000, week: 7 * 86_400_000, month: 30 * 86_400_000, all: 0 } as const;
export type Span = keyof typeof SPANS;

/** When a span began; undefined for all time. */
export const startOf = (span: Span, now: number): string | undefined => (span === "all" ? undefined : new Date(now - SPANS[span]).toISOString());

export const trailAddress = (scope: string): string => `/api/v1/scopes/${encodeURIComponent(scope)}/audit`;

export interface FieldChange {
  field: string;
  before: string | null;
  after: string | null;
}

/** Each field that differs, by its dotted name; null where it is not there. */
export function changesOf({ before, after }: Pick<AuditRecord, "before" | "after">): FieldChange[] {
  const old = flatten(before);
  const fresh = flatten(after);
  return [...new Set([...old.keys(), ...fresh.keys()])]
    .filter((field) => old.get(field) !== fresh.get(field))
    .map((field) => ({ field, before: old.get(field) ?? null, after: fresh.get(field) ?? null }));
}

function flatten(value: unknown, at = "", found = new Map<string, string>()): Map<string, string> {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [name, inner] of Object.entries(value)) flatten(inner, at ? `${at}.${name}` : name, found);
  } else if (value !== undefined && at !== "") {
    found.set(at, typeof value === "string" ? value : JSON.stringify(value));
  }
  return found;
}

const COLUMNS = [
  "occurred_at", "actor", "actor_kind", "address", "action", "target_type", "target_id", "scope", "result", "correlation_id", "client_request_id",
  "platform", "chain_seq", "uid",
] as const;

export const toLines = (records: readonly AuditRecord[]): string => records.map((record) => `${JSON.stringify(record)}\n`).join("");

export function toTable(records: readonly AuditRecord[]): (string | number | null)[][] {
  const values = (record: AuditRecord) => [...COLUMNS.map((column) => record[column]), jsonOf(record.before), jsonOf(record.after)];
  return [[...COLUMNS, "before", "after"], ...records.map(values)];
}

const jsonOf = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));
