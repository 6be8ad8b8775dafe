/**
 * The import rules of the console, and TypeScript's own.
 *
 * sdk and ui know nothing above them; a feature knows sdk and ui alone, never another feature nor the shell; the shell
 * knows features only by the virtual module that the build makes.
 */
import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";
import ts from "typescript-eslint";

const only = (message, patterns) => ({
  "no-restricted-imports": ["error", { patterns: [{ group: patterns, message }] }],
});

/** Beyond `src/` and the manifest beside it, packages know each other by name. */
const OUTSIDE = "../../**";

const readable = (...names) => Object.fromEntries(names.map((name) => [name, "readonly"]));
const MEASURING = ["performance", "PerformanceObserver", "requestAnimationFrame", "setTimeout", "dispatchEvent", "Event", "KeyboardEvent", "HTMLInputElement"];

export default ts.config(
  { ignores: ["dist/", "dist.next/", "**/generated/", "node_modules/", "**/.stage/"] },
  js.configs.recommended,
  ...ts.configs.strict,
  { files: ["**/*.mjs"], languageOptions: { globals: { process: "readonly", URL: "readonly", fetch: "readonly" } } },
  { files: ["e2e/**"], languageOptions: { globals: readable("document", "window", "innerWidth", ...MEASURING) } },
  {
    files: ["**/*.{ts,tsx}"],
    plugins: { "react-hooks": hooks },
    rules: {
      "react-hooks/rules-of-hooks": "error",
      "react-hooks/exhaustive-deps": "error",
      "no-eval": "error",
      "no-console": "error",
      "@typescript-eslint/no-invalid-void-type": "off",
      "@typescript-eslint/consistent-type-imports": "error",
    },
  },
  {
    files: ["src/shared/ui/**"],
    rules: only("ui is below everything: it imports no package of the console", ["@ironworks/*", OUTSIDE]),
  },
  {
    files: ["src/shared/sdk/**"],
    rules: only("the sdk is below everything: it imports no package of the console", ["@ironworks/*", OUTSIDE]),
  },
  {
    files: ["src/shell/**"],
    rules: only("the shell knows features only by virtual:ironworks-features", [
      "@ironworks/*",
      "!@ironworks/sdk",
      "!@ironworks/ui",
      "!@ironworks/ui/*",
      "!@ironworks/shell/*",
      "**/platform/**",
      "**/products/**",
    ]),
  },
  {
    files: ["src/platform/**", "src/products/**"],
    rules: only("a feature imports react, @ironworks/sdk and @ironworks/ui, and nothing else of the console", [
      "@ironworks/*",
      "!@ironworks/sdk",
      "!@ironworks/ui",
      "!@ironworks/ui/*",
      "@tanstack/*",
      "@radix-ui/*",
      OUTSIDE,
    ]),
  },
  { files: ["**/virtual.d.ts"], rules: { "no-restricted-imports": "off" } },
);
