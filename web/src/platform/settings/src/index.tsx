/** What belongs to whoever is signed in. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({
  manifest: manifest as FeatureManifest,
  pages: {
    preferences: () => import("./preferences.tsx"),
    profile: () => import("./profile.tsx"),
    password: () => import("./password.tsx"),
    sessions: () => import("./sessions.tsx"),
    features: () => import("./features.tsx"),
  },
});
