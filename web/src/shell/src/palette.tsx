/** Ctrl K: every page, scope, kind, resource and action, by typing. */
import { addressOf, kindAddress, pageAddress, permissionWord, signOut, useBootstrap, useGo, usePathname } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";
import { Dialog, Icon, cx, rank, setPreferences, words } from "@ironworks/ui";
import { useQueryClient } from "@tanstack/react-query";
import { useId, useMemo, useState } from "react";
import type { KeyboardEvent } from "react";

import type { Entry } from "./registry.ts";
import { addressAt, visibleScopes } from "./scopes.tsx";
import { t } from "./words.ts";

interface Item {
  id: string;
  group: "pages" | "scopes" | "kinds" | "resources" | "actions";
  label: string;
  hint?: string;
  icon: string;
  run: () => void;
}

interface PaletteProps {
  open: boolean;
  onClose: () => void;
  scope: string;
  entries: Entry[];
  onHelp: () => void;
}

const GROUPS = ["pages", "resources", "kinds", "scopes", "actions"] as const;
const MOST_OF_A_GROUP = 8;

export function Palette(props: PaletteProps) {
  return (
    <Dialog open={props.open} onClose={props.onClose} title={t("palette")} bare>
      {props.open && <Content {...props} />}
    </Dialog>
  );
}

function Content({ onClose, scope, entries, onHelp }: PaletteProps) {
  const id = useId();
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const items = useItems(scope, entries, onHelp);
  const found = useMemo(() => {
    const ranked = rank(typed, items, (item) => `${item.label} ${item.hint ?? ""}`);
    const most = typed ? MOST_OF_A_GROUP : 6;
    return GROUPS.flatMap((group) => (!typed && group === "resources" ? [] : ranked.filter((item) => item.group === group).slice(0, most)));
  }, [typed, items]);
  const active = Math.min(at, found.length - 1);
  const run = (item: Item) => {
    onClose();
    item.run();
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt((active + 1) % Math.max(1, found.length));
    else if (event.key === "ArrowUp") setAt((active - 1 + found.length) % Math.max(1, found.length));
    else if (event.key === "Enter" && found[active]) run(found[active]);
    else return;
    event.preventDefault();
  };
  return (
    <>
      <div className="flex items-center gap-2.5 border-b border-line px-4">
        <Icon name="search" className="text-faint" />
        <input
          autoFocus
          role="combobox"
          aria-expanded
          aria-controls={`${id}-list`}
          aria-activedescendant={found[active] ? `${id}-${active}` : undefined}
          aria-label={t("searchHint")}
          placeholder={t("searchHint")}
          value={typed}
          onChange={(event) => {
            setTyped(event.target.value);
            setAt(0);
          }}
          onKeyDown={press}
          className="h-12 w-full bg-transparent text-base outline-none placeholder:text-faint"
        />
      </div>
      <div id={`${id}-list`} role="listbox" aria-label={t("palette")} className="thin-scroll max-h-[56vh] overflow-y-auto p-1.5">
        {found.map((item, index) => (
          <div key={item.id} role="presentation">
            {found[index - 1]?.group !== item.group && (
              <p role="presentation" className="px-2.5 pt-2 pb-1 text-2xs font-medium text-faint">
                {t(item.group)}
              </p>
            )}
            <div
              id={`${id}-${index}`}
              role="option"
              aria-selected={index === active}
              ref={index === active ? (element) => element?.scrollIntoView({ block: "nearest" }) : undefined}
              onMouseMove={() => setAt(index)}
              onClick={() => run(item)}
              className={cx("flex h-8 cursor-pointer items-center gap-2.5 rounded-md px-2.5 text-sm", index === active && "bg-hover")}
            >
              <Icon name={item.icon} size={14} className="text-faint" />
              <span className="clip-line">{item.label}</span>
              {item.hint && <span className="clip-line ml-auto pl-4 text-xs text-faint">{item.hint}</span>}
            </div>
          </div>
        ))}
      </div>
      {found.length === 0 && <p className="px-4 py-6 text-center text-sm text-muted">{t("nothingFound", { typed })}</p>}
    </>
  );
}

function useItems(scope: string, entries: Entry[], onHelp: () => void): Item[] {
  const go = useGo();
  const pathname = usePathname();
  const bootstrap = useBootstrap();
  const client = useQueryClient();
  return useMemo(() => {
    const pages = entries.flatMap(flat).map(
      (entry): Item => ({
        id: `page ${entry.id}`, group: "pages", label: entry.label, icon: entry.icon,
        run: () => go(pageAddress(scope, entry.feature, entry.path ?? "")),
      }),
    );
    const scopes = visibleScopes(bootstrap).map(
      ({ path, name }): Item => ({
        id: `scope ${path}`, group: "scopes", label: path === "-" ? name : path, hint: path === "-" ? "-" : name, icon: "boxes",
        run: () => go(addressAt(pathname, path)),
      }),
    );
    const readable = bootstrap.kinds.filter((kind) => (bootstrap.permissions[`${permissionWord(kind.name)}:read`] ?? []).length > 0);
    const kinds = readable.map(
      (kind): Item => ({
        id: `kind ${kind.plural}`, group: "kinds", label: words(kind.plural), hint: kind.short, icon: "box",
        run: () => go(kindAddress(scope, kind.plural)),
      }),
    );
    const seen = new Map<string, Item>();
    for (const [key, data] of client.getQueriesData<{ pages: { items: Resource[] }[] }>({ queryKey: ["list"] })) {
      for (const resource of data?.pages.flatMap((page) => page.items) ?? []) {
        const plural = String(key[1]);
        const { metadata, kind } = resource;
        seen.set(`${plural} ${metadata.scope}/${metadata.name}`, {
          id: `resource ${plural} ${metadata.scope}/${metadata.name}`, group: "resources", label: metadata.name,
          hint: `${kind} · ${metadata.scope}`, icon: "box", run: () => go(addressOf(scope, plural, resource)),
        });
      }
    }
    const actions: Item[] = [
      { id: "dark", group: "actions", label: t("themeDark"), icon: "moon", run: () => setPreferences({ theme: "dark" }) },
      { id: "light", group: "actions", label: t("themeLight"), icon: "sun", run: () => setPreferences({ theme: "light" }) },
      { id: "help", group: "actions", label: t("shortcuts"), hint: "?", icon: "keyboard", run: onHelp },
      { id: "out", group: "actions", label: t("signOut"), icon: "signout", run: () => void signOut() },
    ];
    return [...pages, ...kinds, ...scopes, ...seen.values(), ...actions];
  }, [scope, entries, bootstrap, client, go, pathname, onHelp]);
}

const flat = (entry: Entry): Entry[] => [...(entry.path === null ? [] : [entry]), ...entry.children.flatMap(flat)];

