/** Keys as the API tells them. */
import { pageAddress, request } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";

export type Key = Resource<
  { owner: string | null; permissions: string[] | null; expires_at: string | null; disabled: boolean },
  { owner: string | null; issued_at: string | null; last_used_at: string | null }
>;

export interface Issued {
  name: string;
  key: string;
}

export const PLURAL = "api-keys";
export const MODELS_ONLY = ["endpoint:invoke"];

export const keyAddress = (scope: string, { metadata }: Key): string => pageAddress(scope, "keys", `${metadata.scope}/${metadata.name}`);

/** The secret of a key, which stops the one before; it is told this once. */
export const issue = ({ metadata }: Key): Promise<Issued> =>
  request<Issued>(`/api/v1/scopes/${encodeURIComponent(metadata.scope)}/api-keys/${metadata.name}:rotate`, { method: "POST", body: {} });
