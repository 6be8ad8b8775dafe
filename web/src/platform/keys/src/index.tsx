/** API keys: made, shown once, limited, watched, renewed, revoked. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({ manifest: manifest as FeatureManifest, pages: { keys: () => import("./keys.tsx"), key: () => import("./key.tsx") } });
