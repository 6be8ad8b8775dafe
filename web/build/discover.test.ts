// @vitest-environment node
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, expect, it } from "vitest";

import { findFeatures, registryModule } from "./discover.ts";

const SCHEMA = fileURLToPath(new URL("../../contracts/feature.schema.json", import.meta.url));
let workspace = "";

beforeEach(() => {
  workspace = mkdtempSync(join(tmpdir(), "ironworks-features-"));
});
afterEach(() => rmSync(workspace, { recursive: true }));

const manifest = (id: string) => ({
  id, version: "1.0.0", display_name: id, description: `What ${id} does.`, icon: "plug",
  routes: [{ path: "", page: "main", title: id }], navigation: [],
});

/** A package at `at` below src, with a marker where it is a feature. */
function put(at: string, described: object, feature?: object): void {
  const folder = join(workspace, "src", at);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: `@acme/${at.split("/").at(-1)}`, ...described }));
  if (feature) writeFileSync(join(folder, "feature.json"), JSON.stringify(feature));
}

const MARKER = { ironworks: { feature: "./feature.json" } };

it("finds what has the marker, wherever it lies, in the order of ids", () => {
  put("products/tokens/usage", MARKER, manifest("usage"));
  put("platform/keys", MARKER, manifest("keys"));
  put("shared/ui", {}, manifest("no-feature"));
  put("platform/keys/node_modules/evil", MARKER, manifest("evil"));
  expect(findFeatures(workspace, SCHEMA).map((feature) => [feature.manifest.id, feature.package])).toEqual([["keys", "@acme/keys"], ["usage", "@acme/usage"]]);
});

it("says which manifest is wrong, and where", () => {
  put("platform/keys", MARKER, { ...manifest("keys"), routes: "none" });
  expect(() => findFeatures(workspace, SCHEMA)).toThrow(/keys\/feature\.json is no feature manifest:[^]*routes/);
});

it("names both who want one id, and a marker that leads nowhere", () => {
  put("platform/keys", MARKER, manifest("keys"));
  put("products/acme/keys2", MARKER, manifest("keys"));
  expect(() => findFeatures(workspace, SCHEMA)).toThrow("features @acme/keys and @acme/keys2 have the same id: rename one of them");
  put("products/acme/keys2", { ironworks: { feature: "./gone.json" } });
  expect(() => findFeatures(workspace, SCHEMA)).toThrow(/@acme\/keys2: there is no .*gone\.json/);
});

it("writes a module that holds manifests, loads code when it is asked for, and lets the shell override all of it", () => {
  put("platform/keys", MARKER, manifest("keys"));
  const source = registryModule(findFeatures(workspace), "/shell/overrides.ts");
  expect(source.split("\n")).toEqual([
    'import { override } from "/shell/overrides.ts";',
    "export const features = override([",
    `  { manifest: ${JSON.stringify(manifest("keys"))}, load: () => import("@acme/keys") },`,
    "]);",
  ]);
});
