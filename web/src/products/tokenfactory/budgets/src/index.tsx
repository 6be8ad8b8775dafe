/** How much may be spent, and how it goes. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({
  manifest: manifest as FeatureManifest,
  pages: { list: () => import("./list.tsx"), budget: () => import("./budget.tsx"), form: () => import("./form.tsx") },
});
