/** The audit trail: what was done, by whom, and that the record of it is whole. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({ manifest: manifest as FeatureManifest, pages: { trail: () => import("./trail.tsx") } });
