/** Which of the first steps a tenant has taken, told by what there is. */
import { pageAddress } from "@ironworks/sdk";

export interface KeyUse {
  last_used_at: string | null;
}

interface Used {
  total: { requests: number; cost: string | null };
}

/** What can be called at a scope, and the page that tells how; a provider's page does not. */
export interface Callable {
  id: string;
  kind: "endpoint" | "route" | "external";
  scope: string;
  name: string;
  phase: string;
}

export function howToCall(at: string, { kind, scope, name }: Callable): string | undefined {
  if (kind === "endpoint") return pageAddress(at, "endpoints", `${scope}/${name}`, { tab: "call" });
  return kind === "route" ? pageAddress(at, "routing", `routes/${scope}/${name}`) : undefined;
}

/**
 * `models`: how many can be called, deployed here, handed down or at providers; `keys`: what is known of some of its keys. A call of an earlier day is
 * known by the key that was used for it.
 */
export function stepsDone(models: number, keys: readonly KeyUse[], today: Used | undefined) {
  const called = (today?.total.requests ?? 0) > 0 || keys.some((key) => key.last_used_at !== null);
  return { deploy: models > 0, key: keys.length > 0, call: called, cost: called && today?.total.cost !== null };
}
