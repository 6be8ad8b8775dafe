/** The tree of scopes, and going from one to another without losing the page. */
import { useGo, usePathname } from "@ironworks/sdk";
import type { Bootstrap } from "@ironworks/sdk";
import { Combobox, Dialog, Icon, OptionList } from "@ironworks/ui";
import type { Option } from "@ironworks/ui";
import { useMemo } from "react";

import { t } from "./words.ts";

interface Visible {
  path: string;
  name: string;
  depth: number;
}

/** A scope before what lies below it, and that before its next sibling: `acme`, `acme.shop`, `acme-lab`. */
const byTree = (a: { path: string }, b: { path: string }) => (a.path.replaceAll(".", "\0") < b.path.replaceAll(".", "\0") ? -1 : 1);

/** The scopes that the caller may choose; the operator's own for who holds anything there. */
export function visibleScopes(bootstrap: Bootstrap): Visible[] {
  const everywhere = Object.values(bootstrap.permissions).some((scopes) => scopes.includes("-"));
  const tree = [...bootstrap.scopes].sort(byTree);
  const top = Math.min(...tree.map((scope) => scope.path.split(".").length));
  const shown = tree.map((scope) => ({
    path: scope.path,
    name: scope.display_name ?? "",
    depth: scope.path.split(".").length - top + (everywhere ? 1 : 0),
  }));
  return everywhere ? [{ path: "-", name: t("operatorScope"), depth: 0 }, ...shown] : shown;
}

/** The same page at another scope. What was filtered stays behind: it may not exist there. */
export function addressAt(pathname: string, scope: string): string {
  const [first, , feature, section] = pathname.split("/").filter(Boolean);
  if (first !== "s" || !feature) return `/s/${encodeURIComponent(scope)}`;
  return ["", "s", encodeURIComponent(scope), feature, ...(section ? [section] : [])].join("/");
}

export const scopeLabel = (path: string): string => (path === "-" ? t("operatorScope") : (path.split(".").at(-1) ?? path));

interface SwitcherProps {
  bootstrap: Bootstrap;
  scope: string;
  open?: boolean;
  onOpen?: (open: boolean) => void;
}

export function ScopeSwitcher({ bootstrap, scope, open = false, onOpen }: SwitcherProps) {
  const go = useGo();
  const pathname = usePathname();
  const options = useMemo<Option[]>(
    () =>
      visibleScopes(bootstrap).map(({ path, name, depth }) => ({
        value: path,
        label: path === "-" ? name : (path.split(".").at(-1) ?? path),
        depth,
        hint: path === "-" ? "-" : name && name !== path.split(".").at(-1) ? name : path.includes(".") ? path : "",
      })),
    [bootstrap],
  );
  const change = (next: string) => {
    onOpen?.(false);
    go(addressAt(pathname, next));
  };
  const above = scope.includes(".") ? scope.slice(0, scope.lastIndexOf(".")) : "";
  return (
    <>
      <Combobox label={t("switchScope")} value={scope} options={options} onChange={change} className="h-10">
        <span className="flex min-w-0 items-center gap-2">
          <Icon name={scope === "-" ? "building" : "boxes"} size={15} className="text-accent" />
          <span className="min-w-0">
            <span className="clip-line block text-sm leading-4 font-medium">{scopeLabel(scope)}</span>
            {above && <span className="clip-line block text-2xs leading-3.5 text-faint">{above}</span>}
          </span>
        </span>
      </Combobox>
      <Dialog open={open} onClose={() => onOpen?.(false)} title={t("switchScope")} bare>
        <OptionList label={t("switchScope")} value={scope} options={options} onChoose={change} />
      </Dialog>
    </>
  );
}
