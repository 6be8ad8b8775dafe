import { fileURLToPath } from "node:url";

import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

import { discoverFeatures } from "./build/discover.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const API = process.env["CONSOLE_API"] ?? "http://127.0.0.1:7070";

export default defineConfig({
  root: here("./src/shell"),
  plugins: [
    react(),
    tailwindcss(),
    discoverFeatures({ workspace: here("."), overrides: here("./src/shell/features.overrides.ts") }),
  ],
  build: {
    // build/precompress.mjs puts it in the place of dist/ when it is whole
    outDir: here("./dist.next"),
    emptyOutDir: true,
    target: "es2022",
    // the console's policy allows no data: fonts and no inline script
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    manifest: "manifest.json",
  },
  server: {
    proxy: { "/api": API, "/console/features": API },
  },
  test: {
    root: here("."),
    include: ["src/**/*.test.{ts,tsx}", "build/**/*.test.ts"],
    environment: "happy-dom",
  },
});
