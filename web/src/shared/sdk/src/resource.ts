/** Resources and kinds as the API tells them, and the addresses they have in the API and in the console. */
export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason?: string;
  message?: string;
  last_transition_time?: string | null;
}

export interface Metadata {
  name: string;
  scope: string;
  uid: string;
  display_name: string | null;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  generation: number;
  resource_version: number;
  creation_timestamp: string;
  update_timestamp: string;
  deletion_timestamp: string | null;
  owner_references: { kind: string; uid: string; name: string }[];
}

export interface Resource<Spec = Record<string, unknown>, Status = Record<string, unknown>> {
  api_version: string;
  kind: string;
  metadata: Metadata;
  spec: Spec;
  status: Status & { phase: string; conditions: Condition[]; observed_generation: number };
}

export interface ResourcePage {
  items: Resource[];
  next_cursor: string | null;
  resource_cursor: string | null;
}

/** One field that a write changes. */
export interface Difference {
  field: string;
  from: unknown;
  to: unknown;
}

export interface Applied {
  action: "created" | "updated" | "unchanged" | "deleted";
  resource: Resource;
  diff: Difference[];
}

export type Level = "operator" | "account" | "platform" | "tenant";

/** What every page needs to know of a kind. */
export interface Kind {
  name: string;
  plural: string;
  short: string;
  description: string;
  domain: string;
  levels: Level[];
  inherited: boolean;
  node: boolean;
  columns: string[];
  phases: string[];
}

/** What writing and explaining one takes besides: its schemas. */
export interface KindDetail extends Kind {
  immutable: string[];
  references: Record<string, string>;
  secrets: string[];
  spec_schema: Record<string, unknown>;
  status_schema: Record<string, unknown>;
}

export const OPERATOR = "-";

/** How deep a scope lies decides what it is. */
export function levelOf(scope: string): Level {
  if (scope === OPERATOR) return "operator";
  const depth = scope.split(".").length;
  return depth === 1 ? "account" : depth === 2 ? "platform" : "tenant";
}

/** Whether `scope` is `above` or lies below it. */
export const covers = (above: string, scope: string): boolean =>
  above === OPERATOR || above === "" || scope === above || scope.startsWith(`${above}.`);

/** The scope above; null above accounts. */
export function parentOf(scope: string): string | null {
  if (scope === OPERATOR) return null;
  const cut = scope.lastIndexOf(".");
  return cut < 0 ? OPERATOR : scope.slice(0, cut);
}

const words = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, "$1-$2").toLowerCase();

/** The word of a kind in permissions: `ApiKey` → `api-key`. */
export const permissionWord = (kind: string): string => words(kind);

/** `spec.model.name` of a resource. */
export function fieldOf(resource: Resource, dotted: string): unknown {
  return dotted.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown> | null | undefined)?.[key], resource);
}

export const resourceKey = ({ metadata }: Pick<Resource, "metadata">): string => `${metadata.scope}/${metadata.name}`;

export const apiAddress = (plural: string, scope: string, name?: string): string =>
  `/api/v1/scopes/${encodeURIComponent(scope)}/${plural}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;

/** `chat` (same scope) or `path/chat` as where it lies and its name. */
export function splitReference(reference: string, scope: string): { scope: string; name: string } {
  const slash = reference.lastIndexOf("/");
  return slash < 0 ? { scope, name: reference } : { scope: reference.slice(0, slash), name: reference.slice(slash + 1) };
}
