/**
 * The token of a mailed link. It stands behind the `#`, which no server is sent; it is taken out of the address at once,
 * so that it is in no history and on no screen, and stays in this tab, which may leave for a provider's sign-in and come
 * back.
 */
const KEPT = "ironworks.link";
const LEFT = "ironworks.link.left";
export const LINK_PAGE = "/link";

export interface MailedLink {
  token: string;
  purpose: "signup" | "invitation" | "password" | "unknown";
  /** The tab left for a provider's sign-in to accept an invitation, and is back. */
  back: boolean;
}

const PURPOSES = { iws_: "signup", iwi_: "invitation", iwp_: "password" } as const;

/** What the tab was opened with; null for every other page. */
export function takeLink(): MailedLink | null {
  if (location.pathname !== LINK_PAGE) return null;
  addEventListener("hashchange", () => location.reload()); // another link, opened in this tab
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem(KEPT, given);
    sessionStorage.removeItem(LEFT);
    history.replaceState(null, "", LINK_PAGE);
  }
  const token = sessionStorage.getItem(KEPT) ?? "";
  const purpose = PURPOSES[token.slice(0, 4) as keyof typeof PURPOSES] ?? "unknown";
  return { token, purpose, back: sessionStorage.getItem(LEFT) === token };
}

/** The tab goes to a provider. */
export const leaveWith = (token: string): void => sessionStorage.setItem(LEFT, token);

/** The link did what it was for. */
export function finish(address: string): void {
  sessionStorage.removeItem(KEPT);
  sessionStorage.removeItem(LEFT);
  location.replace(address);
}
