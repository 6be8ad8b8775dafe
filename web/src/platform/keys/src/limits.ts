/** Which limits count the calls of a key, and what each says. */
import { splitReference } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";

import type { Key } from "./types.ts";
import { t } from "./words.ts";

export type Limit = Resource<{
  scope?: string | null;
  key?: string | null;
  route?: string | null;
  per?: string[];
  requests_per_second?: number | null;
  requests_per_minute?: number | null;
  tokens_per_minute?: number | null;
  concurrency?: number | null;
  allowed_models?: string[] | null;
}>;

const COUNTS = [["requests_per_second", "perSecond"], ["requests_per_minute", "perMinute"], ["tokens_per_minute", "tokensPerMinute"], ["concurrency", "atOnce"]] as const;

/** Those of this key alone first, then those that count whatever is called from where it lives. */
export function limitsOf(key: Key, limits: readonly Limit[]): { own: Limit[]; around: Limit[] } {
  const at = key.metadata.scope;
  const isOwn = ({ spec, metadata }: Limit) => {
    if (!spec.key) return false;
    const { scope, name } = splitReference(spec.key, metadata.scope);
    return scope === at && name === key.metadata.name;
  };
  const counts = ({ spec, metadata }: Limit) => !spec.key && covers(spec.scope ?? metadata.scope, at);
  return { own: limits.filter(isOwn), around: limits.filter(counts) };
}

const covers = (above: string, path: string): boolean => above === "-" || path === above || path.startsWith(`${above}.`);

/** `60 requests a minute, 4 at once`: what it allows, and of what. */
export function wordsOf({ spec }: Limit): string {
  const counts = COUNTS.flatMap(([field, word]) => (spec[field] ? [t(word, { count: spec[field] })] : []));
  const models = spec.allowed_models ? [spec.allowed_models.length > 0 ? t("onlyModels", { models: spec.allowed_models.join(", ") }) : t("noModels")] : [];
  const each = spec.per?.length ? [t("each", { per: spec.per.join(", ").replaceAll("_", " ") })] : [];
  return [...counts, ...models, ...(spec.route ? [t("ofModel", { model: spec.route })] : []), ...each].join(", ");
}
