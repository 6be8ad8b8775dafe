/** Models that are served here. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({
  manifest: manifest as FeatureManifest,
  pages: {
    list: () => import("./list.tsx"),
    deploy: () => import("./deploy.tsx"),
    endpoint: () => import("./endpoint.tsx"),
  },
});
