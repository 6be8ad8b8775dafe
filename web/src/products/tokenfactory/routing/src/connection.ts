/** A provider that is being added: what is written of it, and what a look at it found. */
import { api, unwrap } from "@ironworks/sdk";

import type { Preset } from "./presets.ts";
import type { Dialect, Upstream } from "./types.ts";

export interface Connection {
  url: string;
  dialect: Dialect;
  auth: Upstream["auth"]["type"];
  credential: string;
}

/** The name that callers use, and the provider's own. */
export interface Exposed {
  name: string;
  called: string;
}

export interface Found {
  works: boolean;
  problem: string;
  offers: string[];
}

export const connectionOf = ({ url, dialect, auth }: Preset): Connection => ({ url, dialect, auth, credential: "" });

export const specOf = ({ url, dialect, auth, credential }: Connection, models: readonly Exposed[]) => ({
  upstreams: [
    {
      name: "main",
      url: url.trim(),
      dialect,
      auth: { type: auth, ...(credential && { credential }) },
      model_mapping: Object.fromEntries(models.map(({ name, called }) => [name, called])),
    },
  ],
});

/** What it is asked for while no model is chosen: a mapping holds at least one. */
const ANY: Exposed = { name: "any", called: "any" };

/** Looks at a provider that is not stored. Raises ApiError, which names the field, for what no provider may be. */
export async function check(scope: string, connection: Connection): Promise<Found> {
  const body = { spec: specOf(connection, [ANY]) };
  const { upstream_status } = await unwrap(api.POST("/api/v1/scopes/{path}/external-endpoints:test", { params: { path: { path: scope } }, body: body as never }));
  const [seen] = upstream_status as { phase: string; error_message?: string; offers?: string[] }[];
  const works = seen?.phase === "Ready";
  return { works, problem: works ? "" : (seen?.error_message ?? ""), offers: seen?.offers ?? [] };
}

/** The provider's name for a model as callers may write it. */
export const exposedAs = (called: string): string => called.replace(/[^A-Za-z0-9._:/@+-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, 200);
