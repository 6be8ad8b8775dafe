/** What can be called at a scope, by the names that the gateway knows there. */
import { useQuery } from "@tanstack/react-query";

import { api, unwrap } from "./api.ts";
import type { components } from "./generated/api.ts";
import { live } from "./topics.ts";

/** `id` is what callers write as `model`; `allowed`: a key of the viewer's may call it. */
export type CallableModel = components["schemas"]["CallableModel"];

interface Models {
  models: CallableModel[];
  loading: boolean;
  error: Error | null;
}

const NONE: CallableModel[] = [];

/** All that a key of `scope` can name: what is there, what is handed down, and what lies below as `path/name`. */
export function useModels(scope: string, { enabled = true } = {}): Models {
  const { data, isPending, error } = useQuery({
    queryKey: ["models", scope],
    enabled,
    queryFn: () => unwrap(api.GET("/api/v1/scopes/{path}/models", { params: { path: { path: scope } } })),
    ...live(scope, "endpoints", "routes", "external-endpoints", "limits"),
  });
  return { models: data?.items ?? NONE, loading: enabled && isPending, error };
}
