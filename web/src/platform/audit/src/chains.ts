/** Which chains a scope has to do with, and where the ends that were seen are kept: outside of the database. */
import { levelOf } from "@ironworks/sdk";
import type { Bootstrap } from "@ironworks/sdk";

export interface ChainReport {
  platform: string;
  ok: boolean;
  records: number;
  head: string;
  first_bad: { chain_seq: number; uid: string | null; problem: "altered" | "missing" | "reordered" | "head"; message: string } | null;
}

export interface Anchor {
  records: number;
  head: string;
}

/** The chains to verify from a scope, each by a call of its own; null is all of the installation's at once. */
export function chainsOf(scope: string, { scopes }: Bootstrap, mayVerify: (scope: string) => boolean): (string | null)[] {
  const level = levelOf(scope);
  if (level === "operator") return mayVerify("-") ? [null] : [];
  if (level === "account") {
    const own = scopes.filter((one) => one.kind === "Platform" && one.path.startsWith(`${scope}.`)).map((one) => one.path);
    return own.filter(mayVerify);
  }
  const platform = scope.split(".").slice(0, 2).join(".");
  return mayVerify(platform) ? [platform] : [];
}

const keyOf = (platform: string): string => `ironworks.audit.anchor.${platform}`;

/** The end that this browser saw last; null where it saw none, or may not remember. */
export function anchorOf(platform: string): Anchor | null {
  try {
    const found = JSON.parse(localStorage.getItem(keyOf(platform)) ?? "null") as Anchor | null;
    return found && Number.isInteger(found.records) && found.records > 0 && /^[0-9a-f]{64}$/.test(found.head) ? { records: found.records, head: found.head } : null;
  } catch {
    return null;
  }
}

/** Answers whether it could be kept. */
export function noteAnchor({ platform, records, head }: ChainReport): boolean {
  if (records === 0) return false;
  try {
    localStorage.setItem(keyOf(platform), JSON.stringify({ records, head }));
    return true;
  } catch {
    return false; // a private window may forbid it
  }
}
