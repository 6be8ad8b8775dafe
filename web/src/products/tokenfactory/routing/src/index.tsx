/** Names that models are called by, what serves them, and providers outside. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({
  manifest: manifest as FeatureManifest,
  pages: {
    list: () => import("./list.tsx"),
    route: () => import("./route.tsx"),
    "new-route": () => import("./new-route.tsx"),
    "edit-route": () => import("./edit-route.tsx"),
    providers: () => import("./providers.tsx"),
    provider: () => import("./provider.tsx"),
    "new-provider": () => import("./new-provider.tsx"),
    "edit-provider": () => import("./edit-provider.tsx"),
  },
});
