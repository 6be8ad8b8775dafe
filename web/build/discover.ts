/**
 * Finds feature packages, so that the shell knows none of them by name.
 *
 * A workspace whose package.json says `"ironworks": {"feature": "./feature.json"}` is a feature. Its manifest is read
 * at build time into `virtual:ironworks-features`; its code stays behind a dynamic import and is loaded when somebody
 * opens one of its pages. The shell's overrides may leave features out or change what their manifests say.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

import { Validator } from "@cfworker/json-schema";
import type { Plugin } from "vite";

const VIRTUAL = "virtual:ironworks-features";
const RESOLVED = `\0${VIRTUAL}`;

export interface FoundFeature {
  package: string;
  folder: string;
  manifestFile: string;
  manifest: { id: string; [key: string]: unknown };
}

interface Options {
  workspace: string;
  overrides: string;
  /** JSON schema of a manifest; checked at build time where the file is there. */
  schema?: string;
}

/** Every feature package below `workspace`/src, in the order of their ids. */
export function findFeatures(workspace: string, schemaFile?: string): FoundFeature[] {
  const found = packageFolders(join(workspace, "src")).flatMap((folder) => readFeature(folder));
  for (const [index, feature] of found.entries()) {
    const twin = found.slice(0, index).find((other) => other.manifest.id === feature.manifest.id);
    if (twin) throw new Error(`features ${twin.package} and ${feature.package} have the same id: rename one of them`);
    checkManifest(feature, schemaFile);
  }
  return found.sort((a, b) => a.manifest.id.localeCompare(b.manifest.id));
}

function packageFolders(folder: string, depth = 0): string[] {
  if (existsSync(join(folder, "package.json"))) return [folder];
  if (depth > 4 || !existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== "node_modules")
    .flatMap((entry) => packageFolders(join(folder, entry.name), depth + 1));
}

function readFeature(folder: string): FoundFeature[] {
  const described = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    name: string;
    ironworks?: { feature?: string };
  };
  if (!described.ironworks?.feature) return [];
  const manifestFile = resolve(folder, described.ironworks.feature);
  if (!existsSync(manifestFile)) throw new Error(`${described.name}: there is no ${manifestFile}`);
  const manifest = JSON.parse(readFileSync(manifestFile, "utf8")) as FoundFeature["manifest"];
  return [{ package: described.name, folder, manifestFile, manifest }];
}

function checkManifest(feature: FoundFeature, schemaFile?: string): void {
  if (!schemaFile || !existsSync(schemaFile)) return;
  const schema = JSON.parse(readFileSync(schemaFile, "utf8")) as object;
  const result = new Validator(schema, "2020-12", false).validate(feature.manifest);
  if (result.valid) return;
  const problems = result.errors.map((error) => `  ${error.instanceLocation}: ${error.error}`);
  throw new Error([`${feature.manifestFile} is no feature manifest:`, ...problems].join("\n"));
}

export function discoverFeatures(options: Options): Plugin {
  const schema = options.schema ?? join(dirname(options.workspace), "contracts", "feature.schema.json");
  return {
    name: "ironworks-features",
    resolveId: (id) => (id === VIRTUAL ? RESOLVED : undefined),
    load(id) {
      if (id !== RESOLVED) return undefined;
      const features = findFeatures(options.workspace, schema);
      for (const feature of features) this.addWatchFile(feature.manifestFile);
      return registryModule(features, options.overrides);
    },
    generateBundle() {
      // the API process reads from it which features the build holds
      const manifests = findFeatures(options.workspace, schema).map((feature) => feature.manifest);
      this.emitFile({ type: "asset", fileName: "features.json", source: JSON.stringify(manifests) });
    },
  };
}

/** The source of the virtual module: manifests as data, code behind dynamic imports. */
export function registryModule(features: FoundFeature[], overrides: string): string {
  const entries = features.map(
    ({ manifest, package: name }) =>
      `  { manifest: ${JSON.stringify(manifest)}, load: () => import(${JSON.stringify(name)}) },`,
  );
  return [
    `import { override } from ${JSON.stringify(overrides)};`,
    "export const features = override([",
    ...entries,
    "]);",
  ].join("\n");
}
