/** What a route's target may be: endpoints, and the models of providers, as one list to choose from. */
import { optionOf, useResources } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";
import type { Option } from "@ironworks/ui";

import { ENDPOINTS, EXTERNALS, exposed, targetLabel } from "./types.ts";
import type { External, Target } from "./types.ts";
import { t } from "./words.ts";

/** Names hold no space, so one word each is enough. */
export const encodeTarget = ({ endpoint, external, model }: Target): string => (endpoint ? `endpoint ${endpoint}` : external ? `external ${external} ${model ?? ""}` : "");

/** Leads `target` elsewhere; what the upstream is told goes, for it was meant for another one. */
export function leadTo(target: Target, chosen: string): Target {
  const [kind, reference = "", model = ""] = chosen.split(" ");
  const rest = { ...target, endpoint: null, external: null, model: null, served_as: null };
  return kind === "endpoint" ? { ...rest, endpoint: reference } : { ...rest, external: reference, model };
}

export function targetOptions(endpoints: readonly Resource[], externals: readonly External[], at: string): Option[] {
  const own = endpoints.map((endpoint) => {
    const { value } = optionOf(endpoint, at);
    return { value: encodeTarget({ endpoint: value }), label: value, hint: `${t("endpointHint")} · ${endpoint.status.phase}` };
  });
  const outside = externals.flatMap((external) => {
    const { value } = optionOf(external as unknown as Resource, at);
    return exposed(external).map((model) => ({ value: encodeTarget({ external: value, model }), label: targetLabel({ external: value, model }), hint: `${t("providerHint")} · ${external.status.phase}` }));
  });
  return [...own, ...outside];
}

export function useTargetOptions(at: string): { options: Option[]; loading: boolean } {
  const endpoints = useResources(ENDPOINTS, at);
  const externals = useResources<External>(EXTERNALS, at, { inherited: true });
  return { options: targetOptions(endpoints.items, externals.items, at), loading: endpoints.loading || externals.loading };
}
