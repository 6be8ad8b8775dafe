/** In which order credit is used, as the ledger does it. */
import { nanoOf } from "./money.ts";
import type { Grant } from "./types.ts";

/** Lower priority first, then what expires first, gifts before what was paid for, then the oldest; without what is used up. */
export function orderOfUse(grants: readonly Grant[], now = Date.now()): Grant[] {
  const usable = grants.filter((grant) => nanoOf(grant.remaining) > 0n && (grant.held || grant.expires_at === null || Date.parse(grant.expires_at) > now));
  return usable.sort(
    (a, b) =>
      a.priority - b.priority ||
      expiry(a) - expiry(b) ||
      Number(a.source === "paid") - Number(b.source === "paid") ||
      Date.parse(a.granted_at) - Date.parse(b.granted_at) ||
      a.id.localeCompare(b.id),
  );
}

/** Never is later than any moment, and finite, so that two of them are alike. */
const expiry = (grant: Grant): number => (grant.expires_at === null ? Number.MAX_SAFE_INTEGER : Date.parse(grant.expires_at));
