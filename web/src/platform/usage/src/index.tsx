/** What was used, by whom, and what it cost. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({ manifest: manifest as FeatureManifest, pages: { explorer: () => import("./explorer.tsx") } });
