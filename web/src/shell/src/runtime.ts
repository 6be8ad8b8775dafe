/**
 * Features that are not in the build. Their code comes from our own origin, under the digest of what it is; the browser
 * checks that digest again before anything runs, and a feature that is slow is given up.
 */
import * as sdk from "@ironworks/sdk";
import type { FeatureDefinition, FeatureView, RuntimeFeature } from "@ironworks/sdk";
import * as ui from "@ironworks/ui";
import * as react from "react";

import { t } from "./words.ts";

export async function loadRuntimeFeature({ url, integrity }: FeatureView): Promise<{ default: FeatureDefinition }> {
  if (!url || !integrity) throw new Error(t("noModule"));
  const address = new URL(url, location.origin);
  if (address.origin !== location.origin) throw new Error(`${address.origin} is not this console's own`);
  // the address holds the digest of its content, so what is imported is what was checked
  const checked = await fetch(address, { integrity, credentials: "omit" }).catch(() => refusedBy(address));
  if (!checked.ok) throw new Error(t("notServed", { status: checked.status }));
  await checked.arrayBuffer();
  const loaded = (await import(/* @vite-ignore */ address.href)) as { default: RuntimeFeature };
  return { default: loaded.default({ react, sdk, ui }) };
}

/** A browser says the same of code that is not what was registered as of a server that is away. */
async function refusedBy(address: URL): Promise<never> {
  const there = await fetch(address, { credentials: "omit" }).catch(() => null);
  throw new Error(t(there?.ok ? "tampered" : "noServer"));
}

/** The promise, or a failure when it takes longer. */
export function within<T>(seconds: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(t("tooSlow", { seconds }))), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
