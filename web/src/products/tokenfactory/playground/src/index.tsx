/** Models called from the browser, as every program calls them: with a key, at the gateway. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({
  manifest: manifest as FeatureManifest,
  pages: { chat: () => import("./chat.tsx"), embeddings: () => import("./embeddings.tsx") },
});
