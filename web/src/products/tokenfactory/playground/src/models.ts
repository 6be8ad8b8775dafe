/** What can be called from a tenant, by the names that the gateway knows there. */
import { covers, useResources } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";

export type Task = "chat" | "embedding";

export interface Model {
  /** What callers write as `model`. */
  name: string;
  kind: "endpoint" | "route" | "external";
  /** Where it is declared. */
  at: string;
  phase: string;
  /** What it is for; null where only the provider knows. */
  task: Task | "other" | null;
}

export type Endpoint = Resource<{ model: { task?: string | null } }, { model?: { task: string } | null }>;
export type Route = Resource<{ model?: string | null; targets: { endpoint?: string | null; external?: string | null }[] }>;
export type External = Resource<{ upstreams: { model_mapping: Record<string, string> }[] }>;

const TASKS: Record<string, Model["task"]> = { "text-generation": "chat", "text-embedding": "embedding" };

const taskOf = ({ spec, status }: Endpoint): Model["task"] => TASKS[status.model?.task ?? spec.model.task ?? "text-generation"] ?? "other";

/**
 * All that a key of `scope` can name, each once: what is there itself, a route before an endpoint of its name; then what
 * is handed down, the nearest first; then what lies below, as `path/name`.
 */
export function modelsAt(scope: string, endpoints: readonly Endpoint[], routes: readonly Route[], externals: readonly External[]): Model[] {
  const tasks = new Map(endpoints.map((endpoint) => [`${endpoint.metadata.scope}/${endpoint.metadata.name}`, taskOf(endpoint)]));
  const taskOfRoute = ({ spec, metadata }: Route): Model["task"] => {
    const found = new Set(spec.targets.map(({ endpoint }) => (endpoint ? tasks.get(endpoint.includes("/") ? endpoint : `${metadata.scope}/${endpoint}`) : null)));
    return found.size === 1 ? ([...found][0] ?? null) : null;
  };
  const all: Model[] = [
    ...routes.map((route) => told(route, "route", route.spec.model ?? route.metadata.name, taskOfRoute(route))),
    ...endpoints.map((endpoint) => told(endpoint, "endpoint", endpoint.metadata.name, taskOf(endpoint))),
    ...externals.flatMap((external) => exposed(external).map((name) => told(external, "external", `${external.metadata.name}/${name}`, null))),
  ];
  const found = new Map<string, Model>();
  const near = (model: Model) => (covers(model.at, scope) ? scope.length - model.at.length : Infinity);
  for (const model of all.sort((a, b) => near(a) - near(b))) {
    const name = covers(model.at, scope) ? model.name : `${model.at}/${model.name}`;
    if (!found.has(name)) found.set(name, { ...model, name });
  }
  return [...found.values()].sort((a, b) => Number(b.at === scope) - Number(a.at === scope) || (a.name < b.name ? -1 : 1));
}

const told = ({ metadata, status }: Resource, kind: Model["kind"], name: string, task: Model["task"]): Model => ({
  name, kind, task, at: metadata.scope, phase: status.phase,
});

const exposed = ({ spec }: External): string[] => [...new Set(spec.upstreams.flatMap((upstream) => Object.keys(upstream.model_mapping)))];

/** The models for a task; what serves them is kept fresh by the stream of changes. */
export function useModels(scope: string, task: Task): { models: Model[]; loading: boolean; error: Error | null } {
  const endpoints = useResources<Endpoint>("endpoints", scope);
  const routes = useResources<Route>("routes", scope, { inherited: true });
  const externals = useResources<External>("external-endpoints", scope, { inherited: true });
  const models = modelsAt(scope, endpoints.items, routes.items, externals.items).filter((model) => model.task === null || model.task === task);
  return { models, loading: endpoints.loading || routes.loading || externals.loading, error: endpoints.error };
}

/** Phases in which requests are answered, what is quickest first. */
const ANSWERING = ["Running", "Ready", "Idle"];

/** The one to begin with: what answers now before what has to wake or is not well. */
export function firstOf(models: readonly Model[]): string {
  const rank = ({ phase }: Model) => (ANSWERING.includes(phase) ? ANSWERING.indexOf(phase) : ANSWERING.length);
  return [...models].sort((a, b) => rank(a) - rank(b))[0]?.name ?? "";
}

/** The one to compare `model` with: another that answers, of which alone it is known that it is for the task; else itself. */
export const besideOf = (models: readonly Model[], model: string): string =>
  firstOf(models.filter(({ name, phase }) => name !== model && ANSWERING.includes(phase))) || model;
