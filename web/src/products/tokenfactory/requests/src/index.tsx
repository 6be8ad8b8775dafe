/** Single requests of the gateway, and the whole story of each. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({
  manifest: manifest as FeatureManifest,
  pages: { list: () => import("./list.tsx"), request: () => import("./request.tsx") },
});
