/** For those who run the installation: how it is, and what could not be handled. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({
  manifest: manifest as FeatureManifest,
  pages: {
    overview: () => import("./overview.tsx"),
    letters: () => import("./letters.tsx"),
    "set-aside": () => import("./set-aside.tsx"),
  },
});
