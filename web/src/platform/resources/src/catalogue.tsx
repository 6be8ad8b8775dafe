/** All kinds that the caller may read, by the part of the system that owns them. */
import { Link, kindAddress, permissionWord, useBootstrap, usePlace } from "@ironworks/sdk";
import type { Kind } from "@ironworks/sdk";
import { Icon, Page, Section, marked, words } from "@ironworks/ui";

import { t } from "./words.ts";

export function useReadableKinds(): Kind[] {
  const bootstrap = useBootstrap();
  return bootstrap.kinds.filter((kind) => (bootstrap.permissions[`${permissionWord(kind.name)}:read`] ?? []).length > 0);
}

/** `products.inference.endpoints` and its siblings belong to `inference`; the platform's domains stand for themselves. */
export function groupsOf(kinds: readonly Kind[]): [string, Kind[]][] {
  const groups = new Map<string, Kind[]>();
  for (const kind of kinds) {
    const [product = "", domain = ""] = kind.domain.split(".");
    const name = product === "platform" ? domain : product;
    groups.set(name, [...(groups.get(name) ?? []), kind]);
  }
  return [...groups].sort(([a], [b]) => a.localeCompare(b));
}

const SPELLED: Record<string, string> = { iam: "Identity and access", tokenfactory: "Token factory", tenancy: "Tenancy" };

export const groupLabel = (name: string): string => SPELLED[name] ?? words(name);

export default function Catalogue() {
  const { scope } = usePlace();
  const kinds = useReadableKinds();
  return (
    <Page title={t("title")}>
      <p className="max-w-prose text-muted">{t("intro")}</p>
      <div className="grid gap-4 md:grid-cols-2 2xl:grid-cols-3">
        {groupsOf(kinds).map(([name, group]) => (
          <Section key={name} title={groupLabel(name)} flush>
            <ul className="divide-y divide-line">
              {group.map((kind) => (
                <li key={kind.plural}>
                  <Link to={kindAddress(scope, kind.plural)} className="flex items-center gap-3 px-4 py-2 hover:bg-hover">
                    <div className="min-w-0 flex-1">
                      <p className="font-medium">{words(kind.plural)}</p>
                      <p className="clip-line text-xs text-faint">{marked(kind.description)}</p>
                    </div>
                    <Icon name="right" className="text-faint" />
                  </Link>
                </li>
              ))}
            </ul>
          </Section>
        ))}
      </div>
    </Page>
  );
}
