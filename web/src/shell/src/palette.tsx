/** Ctrl K: every page, scope, kind, resource and action, by typing. */
import { kindAddress, pageAddress, permissionWord, request, resourceAddress, signOut, useBootstrap, useGo, usePathname } from "@ironworks/sdk";
import { Dialog, Icon, cx, rank, setPreferences, words } from "@ironworks/ui";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useDeferredValue, useId, useMemo, useState } from "react";
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
  const hits = useHits(typed, scope);
  const found = useMemo(() => {
    const ranked = rank(typed, [...items, ...hits], (item) => `${item.label} ${item.hint ?? ""}`);
    const most = typed ? MOST_OF_A_GROUP : 6;
    return GROUPS.flatMap((group) => ranked.filter((item) => item.group === group).slice(0, most));
  }, [typed, items, hits]);
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
    const actions: Item[] = [
      { id: "dark", group: "actions", label: t("themeDark"), icon: "moon", run: () => setPreferences({ theme: "dark" }) },
      { id: "light", group: "actions", label: t("themeLight"), icon: "sun", run: () => setPreferences({ theme: "light" }) },
      { id: "help", group: "actions", label: t("shortcuts"), hint: "?", icon: "keyboard", run: onHelp },
      { id: "out", group: "actions", label: t("signOut"), icon: "signout", run: () => void signOut() },
    ];
    return [...pages, ...kinds, ...scopes, ...actions];
  }, [scope, entries, bootstrap, go, pathname, onHelp]);
}

interface Hit {
  kind: string;
  scope: string;
  name: string;
  display_name: string | null;
  phase: string | null;
}

/** Resources whose names hold what was typed; the API looks, under the caller's rights. */
function useHits(typed: string, scope: string): Item[] {
  const go = useGo();
  const { kinds } = useBootstrap();
  const text = useDeferredValue(typed.trim().split(/\s+/)[0] ?? "");
  const { data } = useQuery({
    queryKey: ["search", text],
    queryFn: ({ signal }) => request<{ items: Hit[] }>(`/api/v1/search?limit=20&q=${encodeURIComponent(text)}`, { signal }),
    enabled: text.length > 1,
    placeholderData: keepPreviousData,
  });
  return useMemo(
    () =>
      (text.length > 1 ? (data?.items ?? []) : []).flatMap((hit) => {
        const plural = kinds.find((kind) => kind.name === hit.kind)?.plural;
        if (!plural) return [];
        const label = hit.display_name ? `${hit.name} · ${hit.display_name}` : hit.name;
        return [
          {
            id: `resource ${hit.kind} ${hit.scope}/${hit.name}`, group: "resources" as const, label, hint: `${hit.kind} · ${hit.scope}`, icon: "box",
            run: () => go(resourceAddress(scope, plural, hit.scope, hit.name)),
          },
        ];
      }),
    [text, data, kinds, go, scope],
  );
}

const flat = (entry: Entry): Entry[] => [...(entry.path === null ? [] : [entry]), ...entry.children.flatMap(flat)];

