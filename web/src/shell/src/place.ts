/** Which scope and feature the address means. */
import { usePathname } from "@ironworks/sdk";
import { useMemo } from "react";

export interface PageAddress {
  scope: string | null;
  feature: string;
  path: string;
}

export function parseAddress(pathname: string): PageAddress {
  const [first, scope, feature = "", ...rest] = pathname.split("/").filter(Boolean);
  if (first !== "s" || scope === undefined) return { scope: null, feature: "", path: "" };
  return { scope: decodeURIComponent(scope), feature, path: rest.join("/") };
}

/** The address of the page that is open; the scope is the operator's where it names none. */
export function usePageAddress(): PageAddress & { scope: string } {
  const pathname = usePathname();
  return useMemo(() => {
    const address = parseAddress(pathname);
    return { ...address, scope: address.scope ?? "-" };
  }, [pathname]);
}
