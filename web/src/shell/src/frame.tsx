/** What is around every page: navigation, scope, search, and how the connection is. No business in it. */
import {
  BootstrapProvider, bootstrapQuery, onChange, permissionWord, signOut, tell, useBootstrap, useGo,
  useLiveStatus, usePathname, useSession, watch,
} from "@ironworks/sdk";
import type { Bootstrap } from "@ironworks/sdk";
import { Button, Dialog, Empty, Failure, Icon, IconButton, Menu, Tip, cx, notify, setPreferences, usePreferences } from "@ironworks/ui";
import type { Theme } from "@ironworks/ui";
import { Outlet } from "@tanstack/react-router";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";

import { Logo } from "./logo.tsx";
import { Navigation, SideFoot, addressOfEntry } from "./navigation.tsx";
import { NotificationsButton } from "./notifications.tsx";
import { Palette } from "./palette.tsx";
import { parseAddress, usePageAddress } from "./place.ts";
import { useKeptPreferences, useLastScope } from "./preferences.ts";
import { navigation } from "./registry.ts";
import type { Entry } from "./registry.ts";
import { ScopeSwitcher, visibleScopes } from "./scopes.tsx";
import { ShortcutHelp, pageKeys, useShortcuts } from "./shortcuts.tsx";
import { Splash } from "./gate.tsx";
import { t } from "./words.ts";

export function Frame() {
  const { scope } = usePageAddress();
  const session = useSession();
  const { data, error, refetch, failureCount } = useQuery({ ...bootstrapQuery(scope), enabled: session.state === "in" });
  if (error && !data) return <Failure error={error} onRetry={() => void refetch()} />;
  if (!data) return <Splash failing={failureCount > 1} />;
  return (
    <BootstrapProvider value={data}>
      <Console bootstrap={data} scope={scope} />
    </BootstrapProvider>
  );
}

function Console({ bootstrap, scope }: { bootstrap: Bootstrap; scope: string }) {
  useLive(bootstrap);
  useKeptPreferences();
  const entries = useMemo(() => navigation(bootstrap, scope), [bootstrap, scope]);
  const [drawer, setDrawer] = useState(false);
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const [switching, setSwitching] = useState(false);
  const [narrow, setNarrow] = useState(false);
  const pathname = usePathname();
  useEffect(() => setDrawer(false), [pathname]);
  const atScope = parseAddress(pathname).scope;
  useEffect(() => {
    if (atScope !== null) setPreferences({ scope: atScope });
  }, [atScope]);
  const go = useGo();
  const keys = useMemo(() => pageKeys(entries), [entries]);
  useShortcuts({
    palette: () => setPalette(true),
    help: () => setHelp(true),
    scope: () => setSwitching(true),
    menu: () => setNarrow((before) => !before),
    page: (key) => {
      const entry = entries.find((one) => keys.get(one.id) === key);
      if (entry) go(addressOfEntry(scope, entry));
    },
  });
  const side = <Navigation entries={entries} keys={keys} scope={scope} />;
  const switcher = <ScopeSwitcher bootstrap={bootstrap} scope={scope} open={switching} onOpen={setSwitching} />;
  return (
    <div className={cx("grid h-dvh grid-rows-[auto_minmax(0,1fr)]", narrow ? "md:grid-cols-1" : "md:grid-cols-[14.5rem_minmax(0,1fr)]")}>
      <a href="#content" className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-md focus:bg-raised focus:px-3 focus:py-1.5">
        {t("skip")}
      </a>
      {!narrow && (
        <aside className="row-span-2 hidden min-h-0 flex-col border-r border-line bg-panel md:flex">
          <div className="flex h-12 items-center gap-2.5 px-4">
            <Logo />
            <span className="text-base font-semibold tracking-tight">{t("product")}</span>
          </div>
          <div className="px-3 pb-2">{switcher}</div>
          {side}
          <SideFoot onHelp={() => setHelp(true)} name={bootstrap.caller.name} version={bootstrap.version} />
        </aside>
      )}
      <header className="flex h-12 items-center gap-1 border-b border-line bg-panel px-2 md:px-4">
        <IconButton icon="menu" label={t("navigation")} className={narrow ? "" : "md:hidden"} onClick={() => (narrow && innerWidth >= 768 ? setNarrow(false) : setDrawer(true))} />
        <button
          type="button"
          aria-label={t("palette")}
          onClick={() => setPalette(true)}
          className="flex h-8 w-full max-w-md min-w-0 items-center gap-2 rounded-md border border-line bg-canvas px-2.5 text-left text-sm text-faint hover:border-edge"
        >
          <Icon name="search" size={14} />
          <span className="clip-line flex-1">
            <span className="max-sm:hidden">{t("searchHint")}</span>
            <span className="sm:hidden">{t("search")}</span>
          </span>
          <kbd className="rounded-sm border border-line px-1 font-sans text-2xs max-sm:hidden">Ctrl K</kbd>
        </button>
        <div className="ml-auto flex items-center gap-0.5">
          <LiveMark />
          <NotificationsButton />
          <ThemeButton />
          <AccountMenu name={bootstrap.caller.name} scope={scope} entries={entries} />
        </div>
      </header>
      <main id="content" tabIndex={-1} className="thin-scroll min-h-0 overflow-y-auto outline-none">
        <Outlet />
      </main>
      <Dialog open={drawer} onClose={() => setDrawer(false)} title={t("navigation")} side="left">
        <div className="-m-4 flex flex-col py-3">
          <div className="px-3 pb-2">
            <ScopeSwitcher bootstrap={bootstrap} scope={scope} />
          </div>
          {side}
        </div>
      </Dialog>
      <Palette open={palette} onClose={() => setPalette(false)} scope={scope} entries={entries} onHelp={() => setHelp(true)} />
      <ShortcutHelp open={help} onClose={() => setHelp(false)} entries={entries} keys={keys} />
    </div>
  );
}

/** In place of a topic's permission: of what is one's own. */
const OWN = "authenticated";

/** One stream for everything that the caller may read. */
function useLive(bootstrap: Bootstrap): void {
  const client = useQueryClient();
  const names = bootstrap.kinds
    .filter((kind) => (bootstrap.permissions[`${permissionWord(kind.name)}:read`] ?? []).length > 0)
    .map((kind) => `${kind.name}=${kind.plural}`)
    .join(",");
  const topics = bootstrap.topics.filter(({ permission }) => permission === OWN || (bootstrap.permissions[permission] ?? []).length > 0).map(({ name }) => name).join(",");
  useEffect(() => {
    const kinds = new Map(names.split(",").filter(Boolean).map((pair) => pair.split("=") as [string, string]));
    const followed = topics.split(",").filter(Boolean);
    if (kinds.size + followed.length === 0) return undefined;
    return watch({ client, scope: "-", kinds, topics: followed });
  }, [client, names, topics]);
  const nodes = bootstrap.kinds.filter((kind) => kind.node).map((kind) => kind.plural).join(",");
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = onChange((change) => {
      if (!nodes.split(",").includes(change.plural)) return; // the tree of scopes has changed
      clearTimeout(timer);
      timer = setTimeout(() => void client.invalidateQueries({ queryKey: ["bootstrap"] }), 300);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [client, nodes]);
}

const LIVE = {
  off: { text: "connecting", dot: "bg-edge" },
  connecting: { text: "connecting", dot: "bg-info animate-pulse" },
  live: { text: "live", dot: "bg-ok" },
  lost: { text: "lost", dot: "bg-bad" },
} as const;

/** Whether what is shown is what is; a loss and its end are told. */
function LiveMark() {
  const { state } = useLiveStatus();
  const wasLost = useRef(false);
  useEffect(() => {
    if (state === "lost") wasLost.current = true;
    if (state === "live" && wasLost.current) {
      wasLost.current = false;
      notify("ok", t("healed"));
    }
  }, [state]);
  const shown = LIVE[state];
  return (
    <Tip text={state === "lost" ? t("lostHint") : t("liveHint")}>
      <span
        role="status"
        tabIndex={0}
        data-live={state}
        className={cx("mr-1 flex h-6 items-center gap-1.5 rounded-full px-2 text-xs whitespace-nowrap", state === "lost" ? "bg-bad-soft font-medium text-bad" : "text-muted")}
      >
        <span aria-hidden className={cx("size-1.5 rounded-full", shown.dot)} />
        <span className={state === "lost" ? "" : "max-sm:sr-only"}>{t(shown.text)}</span>
      </span>
    </Tip>
  );
}

const NEXT: Record<Theme, { theme: Theme; icon: "sun" | "moon" | "monitor"; label: "themeLight" | "themeDark" | "themeSystem" }> = {
  system: { theme: "dark", icon: "monitor", label: "themeDark" },
  dark: { theme: "light", icon: "moon", label: "themeLight" },
  light: { theme: "system", icon: "sun", label: "themeSystem" },
};

function ThemeButton() {
  const next = NEXT[usePreferences().theme];
  return <IconButton icon={next.icon} label={t(next.label)} keys="t" className="max-sm:hidden" onClick={() => setPreferences({ theme: next.theme })} />;
}

function AccountMenu({ name, scope, entries }: { name: string; scope: string; entries: Entry[] }) {
  const go = useGo();
  const { theme } = usePreferences();
  const settings = entries.filter((entry) => entry.always);
  const leave = () => signOut().catch((error: unknown) => notify("bad", tell(error)));
  return (
    <Menu
      label={t("account")}
      header={<span className="block max-w-56 break-words">{t("signedInAs", { name })}</span>}
      trigger={
        <button type="button" aria-label={t("account")} className="ml-1 inline-flex size-7 items-center justify-center rounded-full bg-accent-soft text-xs font-semibold text-accent uppercase">
          {(name.replace(/^user:/, "")[0] ?? "?").toUpperCase()}
        </button>
      }
      groups={[
        settings.map((entry) => ({ label: entry.label, icon: "settings" as const, onSelect: () => go(addressOfEntry(scope, entry)) })),
        (["dark", "light", "system"] as const).map((one) => ({
          label: t(one === "dark" ? "themeDark" : one === "light" ? "themeLight" : "themeSystem"),
          icon: one === "dark" ? ("moon" as const) : one === "light" ? ("sun" as const) : ("monitor" as const),
          checked: theme === one,
          onSelect: () => setPreferences({ theme: one }),
        })),
        [{ label: t("signOut"), icon: "signout", onSelect: () => void leave() }],
      ]}
    />
  );
}

/** `/`: on to the scope that was open last, and to its first page. */
export function Start() {
  const bootstrap = useBootstrap();
  const { scope: named } = usePageAddress();
  const given = usePathname().startsWith("/s/");
  const last = useLastScope(bootstrap);
  const scope = given ? named : startScope(bootstrap, last);
  const first = navigation(bootstrap, scope)[0];
  const go = useGo();
  useEffect(() => {
    if (first) go(addressOfEntry(scope, first), { replace: true });
  }, [first, scope, go]);
  if (first) return null;
  return (
    <Empty icon="shield" title={t("nothingGranted")} actions={<Button onClick={() => void signOut()}>{t("signOut")}</Button>}>
      {t("nothingGrantedHint")}
    </Empty>
  );
}

function startScope(bootstrap: Bootstrap, last: string): string {
  const visible = visibleScopes(bootstrap);
  return (visible.find((scope) => scope.path === last) ?? visible[0])?.path ?? "-";
}
