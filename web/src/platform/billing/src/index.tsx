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
    price: () => import("./price-versions.tsx"),
    "price-form": () => import("./price-form.tsx"),
    terms: () => import("./terms-versions.tsx"),
    "terms-form": () => import("./terms-form.tsx"),
    "plan-versions": () => import("./plan-versions.tsx"),
    "plan-form": () => import("./plan-form.tsx"),
    differences: () => import("./differences.tsx"),
    reports: () => import("./reports.tsx"),
  },
});
