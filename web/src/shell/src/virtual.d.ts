declare module "virtual:ironworks-features" {
  import type { KnownFeature } from "@ironworks/shell/registry";
  export const features: KnownFeature[];
}
