/** The kinds whose health says whether a scope works, and what is wrong with any of them. */
import { Link, addressOf, kindAddress, levelOf, permissionWord, useBootstrap, useResources } from "@ironworks/sdk";
import type { Kind, Resource } from "@ironworks/sdk";
import { Icon, Phase, Section, Skeleton, toneOf, words } from "@ironworks/ui";

import { t } from "./words.ts";

export interface Watched {
  kind: Kind;
  items: Resource[];
  loading: boolean;
  more: boolean;
}

/** Each list is one call. */
const WATCHED = ["endpoints", "external-endpoints", "clusters", "budgets"] as const;
const SHOWN = 6;
const MOST_WRONG = 12;

/** A tenant's clusters matter to it once something of its own is to run there. */
export function useWatched(scope: string): Watched[] {
  const { kinds, permissions } = useBootstrap();
  const known = (plural: string) => {
    const kind = kinds.find((one) => one.plural === plural);
    return kind && (permissions[`${permissionWord(kind.name)}:read`] ?? []).length > 0 ? kind : undefined;
  };
  const [first, second, third, fourth] = WATCHED;
  const endpoints = useResources(first, scope, { enabled: known(first) !== undefined });
  const lists = [
    endpoints,
    useResources(second, scope, { enabled: known(second) !== undefined }),
    useResources(third, scope, { enabled: known(third) !== undefined && (levelOf(scope) !== "tenant" || endpoints.items.length > 0) }),
    useResources(fourth, scope, { enabled: known(fourth) !== undefined }),
  ];
  return lists.flatMap((list, index) => {
    const kind = known(WATCHED[index] ?? "");
    return kind ? [{ kind, items: list.items, loading: list.loading, more: list.more }] : [];
  });
}

export function Running({ scope, watched }: { scope: string; watched: Watched[] }) {
  const loading = watched.some((one) => one.loading);
  const filled = watched.filter((one) => one.items.length > 0);
  const wrong = watched.flatMap(({ kind, items }) => items.filter(isWrong).map((resource) => ({ kind, resource })));
  if (loading) return <Skeleton className="h-64 w-full" />;
  return (
    <>
      <Section title={t("wrong")} flush={wrong.length > 0}>
        {wrong.length === 0 ? (
          <p className="flex items-center gap-2 text-sm text-muted">
            <Icon name="ok" className={filled.length > 0 ? "text-ok" : "text-faint"} />
            {t(filled.length > 0 ? "allWell" : "nothingRuns")}
          </p>
        ) : (
          <ul className="divide-y divide-line">
            {wrong.slice(0, MOST_WRONG).map(({ kind, resource }) => (
              <Row key={resource.metadata.uid} kind={kind} resource={resource} scope={scope} reason />
            ))}
          </ul>
        )}
      </Section>
      {filled.map(({ kind, items, more }) => (
        <Section
          key={kind.plural}
          flush
          title={words(kind.plural)}
          actions={
            <Link to={kindAddress(scope, kind.plural)} className="text-xs text-muted hover:text-ink hover:underline">
              {t("seeAll", { plural: `${items.length}${more ? "+" : ""}` })}
            </Link>
          }
        >
          <ul className="divide-y divide-line">
            {items.slice(0, SHOWN).map((resource) => (
              <Row key={resource.metadata.uid} kind={kind} resource={resource} scope={scope} />
            ))}
          </ul>
        </Section>
      ))}
    </>
  );
}

/** Failed, or with a condition that says so; what is only on its way is not wrong. */
export function isWrong({ status }: Resource): boolean {
  const tone = toneOf(status.phase);
  return tone === "bad" || (tone === "ok" && status.conditions.some((one) => one.type === "Degraded" && one.status === "True"));
}

function Row({ kind, resource, scope, reason }: { kind: Kind; resource: Resource; scope: string; reason?: boolean }) {
  const { metadata, status } = resource;
  const told = status.conditions.find((one) => one.status !== "True" && one.message) ?? status.conditions.find((one) => one.message);
  const place = metadata.scope === "-" ? t("installation") : metadata.scope;
  return (
    <li>
      <Link to={addressOf(scope, kind.plural, resource)} className="flex items-center gap-3 px-4 py-2 hover:bg-hover">
        <span className="min-w-0 flex-1">
          <span className="clip-line block font-medium">{metadata.name}</span>
          <span className={reason && told ? "line-clamp-2 text-xs break-words text-muted" : "clip-line block text-xs text-faint"}>
            {reason ? [words(kind.name), told?.message].filter(Boolean).join(": ") : place}
          </span>
        </span>
        <Phase phase={status.phase} />
      </Link>
    </li>
  );
}
