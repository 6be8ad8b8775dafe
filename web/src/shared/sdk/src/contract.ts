/**
 * What a feature hands to the shell. The manifest is data, described by contracts/feature.schema.json; the definition
 * adds the code behind it. `defineFeature` only gives types.
 */
import type { ComponentType, ReactNode } from "react";
import type * as React from "react";

import type { FeatureManifest } from "./generated/feature.ts";
import type * as Sdk from "./index.ts";

export type { FeatureManifest, FeatureRoute, NavigationEntry } from "./generated/feature.ts";

export type Page = () => Promise<{ default: ComponentType }>;
export type Provider = ComponentType<{ children: ReactNode }>;

export interface FeatureDefinition {
  manifest: FeatureManifest;
  /** By the `page` of the manifest's routes; each is loaded when it is opened. */
  pages: Record<string, Page>;
  /** By the names in the manifest's `providers`. */
  providers?: Record<string, Provider>;
  onRegister?: () => void | Promise<void>;
  onActivate?: () => void | Promise<void>;
  onDeactivate?: () => void | Promise<void>;
}

/** What a feature that comes at run time builds on, so that nothing is shipped twice. */
export interface Host {
  react: typeof React;
  sdk: typeof Sdk;
  ui: Record<string, unknown>;
}

/** The default export of a feature that comes at run time. */
export type RuntimeFeature = (host: Host) => FeatureDefinition;

export const defineFeature = (definition: FeatureDefinition): FeatureDefinition => definition;
