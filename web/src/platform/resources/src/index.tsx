/** Every kind's list and page, made from its declaration. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({
  manifest: manifest as FeatureManifest,
  pages: {
    catalogue: () => import("./catalogue.tsx"),
    list: () => import("./list.tsx"),
    new: () => import("./new.tsx"),
    detail: () => import("./detail.tsx"),
  },
});
