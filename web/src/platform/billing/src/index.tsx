/** What an account is on, owes and has paid, and the books behind it. */
import { defineFeature } from "@ironworks/sdk";
import type { FeatureManifest } from "@ironworks/sdk";

import manifest from "../feature.json";

export default defineFeature({
  manifest: manifest as FeatureManifest,
  pages: {
    overview: () => import("./overview.tsx"),
    invoices: () => import("./invoices.tsx"),
    invoice: () => import("./invoice.tsx"),
    line: () => import("./line.tsx"),
    plan: () => import("./plan.tsx"),
    payment: () => import("./payment.tsx"),
    credit: () => import("./credit.tsx"),
    ledger: () => import("./ledger.tsx"),
    transfer: () => import("./transfer.tsx"),
    prices: () => import("./prices.tsx"),
    differences: () => import("./differences.tsx"),
    reports: () => import("./reports.tsx"),
  },
});
