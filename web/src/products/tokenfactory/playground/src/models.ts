/** Which of the models that can be called from a tenant there are for a task, and which of them to begin with. */
import { useModels as useCallable } from "@ironworks/sdk";
import type { CallableModel } from "@ironworks/sdk";

export type Task = "chat" | "embedding";
export type Model = CallableModel;

const TASKS: Record<Task, string> = { chat: "text-generation", embedding: "text-embedding" };

/** The models for a task, what only its provider knows the task of among them: those of the tenant itself first. */
export function modelsFor(task: Task, scope: string, models: readonly Model[]): Model[] {
  const fit = models.filter((model) => model.allowed && (model.task === null || model.task === TASKS[task]));
  return fit.sort((a, b) => Number(b.scope === scope) - Number(a.scope === scope) || (a.id < b.id ? -1 : 1));
}

export function useModels(scope: string, task: Task): { models: Model[]; loading: boolean; error: Error | null } {
  const { models, ...rest } = useCallable(scope);
  return { models: modelsFor(task, scope, models), ...rest };
}

/** Phases in which requests are answered, what is quickest first. */
const ANSWERING = ["Running", "Ready", "Degraded", "Idle"];

/** The one to begin with: what answers now before what has to wake or is not well. */
export function firstOf(models: readonly Model[]): string {
  const rank = ({ phase }: Model) => (ANSWERING.includes(phase) ? ANSWERING.indexOf(phase) : ANSWERING.length);
  return [...models].sort((a, b) => rank(a) - rank(b))[0]?.id ?? "";
}

/** The one to compare `model` with: another that answers, of which alone it is known that it is for the task; else itself. */
export const besideOf = (models: readonly Model[], model: string): string =>
  firstOf(models.filter(({ id, phase }) => id !== model && ANSWERING.includes(phase))) || model;
