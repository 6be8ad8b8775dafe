/** Who has access, through which roles, and why somebody may do something. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({
  manifest: manifest as FeatureManifest,
  pages: {
    members: () => import("./members.tsx"),
    roles: () => import("./roles.tsx"),
    "new-role": () => import("./new-role.tsx"),
    role: () => import("./role.tsx"),
    access: () => import("./access.tsx"),
  },
});
