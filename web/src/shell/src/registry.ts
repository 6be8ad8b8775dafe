/**
 * The features of this console: those that the build found and those that the platform brings at run time. Only their
 * manifests are looked at here; code is loaded when a page opens, and a failure stays that feature's own.
 */
import { holdsWithin } from "@ironworks/sdk";
import type { Bootstrap, FeatureDefinition, FeatureManifest, FeatureRoute, NavigationEntry } from "@ironworks/sdk";
import { features as found } from "virtual:ironworks-features";

import { loadRuntimeFeature, within } from "./runtime.ts";
import { t } from "./words.ts";

export interface KnownFeature {
  manifest: FeatureManifest;
  load: () => Promise<{ default: FeatureDefinition }>;
}

const LOAD_SECONDS = 20;
const loading = new Map<string, Promise<FeatureDefinition>>();

/** Features that exist for this platform, by id; one that is built in is not replaced by one from elsewhere. */
export function knownFeatures(bootstrap: Bootstrap): Map<string, KnownFeature> {
  const known = new Map<string, KnownFeature>();
  for (const feature of found) known.set(feature.manifest.id, feature);
  for (const view of bootstrap.features) {
    if (view.built_in || known.has(view.manifest.id)) continue;
    known.set(view.manifest.id, { manifest: view.manifest, load: () => loadRuntimeFeature(view) });
  }
  return known;
}

export function isEnabled(bootstrap: Bootstrap, manifest: FeatureManifest): boolean {
  if (manifest.always) return true;
  const told = bootstrap.features.find((feature) => feature.manifest.id === manifest.id);
  return told?.enabled ?? manifest.default_enabled ?? true;
}

/** Whether the caller may see anything of it at `scope`. */
export function mayUse(bootstrap: Bootstrap, manifest: FeatureManifest, scope: string): boolean {
  const wanted = manifest.permissions ?? [];
  return wanted.length === 0 || wanted.some((permission) => holdsWithin(bootstrap, permission, scope));
}

export function usableFeatures(bootstrap: Bootstrap, scope: string): KnownFeature[] {
  return [...knownFeatures(bootstrap).values()].filter(
    ({ manifest }) => isEnabled(bootstrap, manifest) && mayUse(bootstrap, manifest, scope),
  );
}

export type Section = NonNullable<NavigationEntry["section"]>;
const SECTIONS: readonly Section[] = ["start", "build", "watch", "money", "manage", "operate", "more"];

export interface Entry {
  id: string;
  feature: string;
  label: string;
  icon: string;
  /** Path below the feature; null where it only holds others. */
  path: string | null;
  children: Entry[];
  section: Section;
  order: number;
  /** Its feature is always there. */
  always: boolean;
}

/** The navigation for a scope, in order; entries that lead nowhere for this caller are left out. */
export function navigation(bootstrap: Bootstrap, scope: string): Entry[] {
  const entries = usableFeatures(bootstrap, scope).flatMap(({ manifest }) =>
    (manifest.navigation ?? []).flatMap((entry) => shownEntry(bootstrap, scope, manifest, entry)),
  );
  return entries.sort(byOrder);
}

const byOrder = (a: Entry, b: Entry) =>
  SECTIONS.indexOf(a.section) - SECTIONS.indexOf(b.section) || a.order - b.order || a.label.localeCompare(b.label);

/** Entries that are in order, by the heading they stand under. */
export function sectionsOf(entries: readonly Entry[]): [Section, Entry[]][] {
  return SECTIONS.map((section): [Section, Entry[]] => [section, entries.filter((entry) => entry.section === section)]).filter(([, own]) => own.length > 0);
}

function shownEntry(bootstrap: Bootstrap, scope: string, manifest: FeatureManifest, entry: NavigationEntry): Entry[] {
  if (entry.permission && !holdsWithin(bootstrap, entry.permission, scope)) return [];
  const children = (entry.children ?? []).flatMap((child) => shownEntry(bootstrap, scope, manifest, child)).sort(byOrder);
  const path = entry.route ?? null;
  if (path === null && children.length === 0) return [];
  return [
    {
      id: `${manifest.id}.${entry.id}`,
      feature: manifest.id,
      label: entry.label,
      icon: entry.icon ?? manifest.icon,
      path,
      children,
      section: entry.section ?? "more",
      order: entry.order ?? 100,
      always: manifest.always ?? false,
    },
  ];
}

export interface Match {
  route: FeatureRoute;
  params: Record<string, string>;
}

/** The route that an address below a feature means: words before `$names`. */
export function matchRoute(manifest: FeatureManifest, path: string): Match | null {
  const steps = path.split("/").filter(Boolean).map(decodeURIComponent);
  const fitting = manifest.routes.flatMap((route) => {
    const params = paramsOf(route.path.split("/").filter(Boolean), steps);
    return params ? [{ route, params }] : [];
  });
  return fitting.sort((a, b) => Object.keys(a.params).length - Object.keys(b.params).length)[0] ?? null;
}

function paramsOf(pattern: string[], steps: string[]): Record<string, string> | null {
  if (pattern.length !== steps.length) return null;
  const params: Record<string, string> = {};
  for (const [index, word] of pattern.entries()) {
    const step = steps[index] ?? "";
    if (word.startsWith("$")) params[word.slice(1)] = step;
    else if (word !== step) return null;
  }
  return params;
}

/** The feature's code, loaded once; what failed may be tried again. */
export function loadFeature(feature: KnownFeature): Promise<FeatureDefinition> {
  const { id } = feature.manifest;
  let promise = loading.get(id);
  if (!promise) {
    promise = within(LOAD_SECONDS, loadOnce(feature)).catch((error: unknown) => {
      loading.delete(id);
      throw error;
    });
    loading.set(id, promise);
  }
  return promise;
}

async function loadOnce(feature: KnownFeature): Promise<FeatureDefinition> {
  const { default: definition } = await feature.load();
  if (definition.manifest.id !== feature.manifest.id) {
    throw new Error(t("unfit", { found: definition.manifest.id, wanted: feature.manifest.id }));
  }
  await definition.onRegister?.();
  return definition;
}
