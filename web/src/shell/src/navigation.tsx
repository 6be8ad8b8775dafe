/** The pages that there are for this person here, under their headings. */
import { Link, pageAddress } from "@ironworks/sdk";
import { Icon, IconButton, cx } from "@ironworks/ui";
import { useId } from "react";

import { usePageAddress } from "./place.ts";
import { sectionsOf } from "./registry.ts";
import type { Entry } from "./registry.ts";
import { t } from "./words.ts";

export const addressOfEntry = (scope: string, entry: Entry): string => pageAddress(scope, entry.feature, entry.path ?? entry.children[0]?.path ?? "");

export function Navigation({ entries, keys, scope }: { entries: Entry[]; keys: Map<string, string>; scope: string }) {
  const id = useId();
  return (
    <nav aria-label={t("navigation")} className="thin-scroll min-h-0 flex-1 overflow-y-auto px-2 py-1">
      {sectionsOf(entries).map(([section, own]) => (
        <div key={section} role="group" aria-labelledby={section === "start" ? undefined : `${id}-${section}`} className="pb-2.5">
          {section !== "start" && (
            <p id={`${id}-${section}`} className="px-2 pb-0.5 text-2xs font-medium text-faint">
              {t(section)}
            </p>
          )}
          <ul className="flex flex-col gap-px">
            {own.map((entry) => (
              <NavigationItem key={entry.id} entry={entry} scope={scope} keys={keys.get(entry.id)} />
            ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}

function NavigationItem({ entry, scope, keys, depth = 0 }: { entry: Entry; scope: string; keys?: string | undefined; depth?: number }) {
  const { feature, path } = usePageAddress();
  const own = feature === entry.feature;
  const active = own && (entry.path === path || (entry.children.length === 0 && entry.path !== null && (entry.path === "" ? depth === 0 : path.startsWith(`${entry.path}/`))));
  const open = own && entry.children.length > 0;
  return (
    <li>
      <Link
        to={addressOfEntry(scope, entry)}
        aria-current={active ? "page" : undefined}
        className={cx(
          "group flex h-8 items-center gap-2.5 rounded-md px-2 text-sm transition-colors md:h-7",
          depth > 0 && "pl-8.5",
          active ? "bg-hover font-medium text-ink" : "text-muted hover:bg-hover hover:text-ink",
        )}
      >
        {depth === 0 && <Icon name={entry.icon} size={15} className={active || open ? "text-accent" : "text-faint"} />}
        <span className="clip-line">{entry.label}</span>
        {keys && (
          <span aria-hidden className="ml-auto hidden font-mono text-2xs text-faint group-hover:inline">
            g {keys}
          </span>
        )}
      </Link>
      {open && (
        <ul className="mt-px flex flex-col gap-px">
          {entry.children.map((child) => (
            <NavigationItem key={child.id} entry={child} scope={scope} depth={depth + 1} />
          ))}
        </ul>
      )}
    </li>
  );
}

export function SideFoot({ onHelp, name, version }: { onHelp: () => void; name: string; version: string }) {
  return (
    <div className="flex items-center gap-2 border-t border-line py-1.5 pr-2 pl-4 text-xs text-faint">
      <span className="clip-line flex-1" title={name}>
        {t("version", { version })}
      </span>
      <IconButton icon="keyboard" label={t("shortcuts")} keys="?" onClick={onHelp} />
    </div>
  );
}
