// @vitest-environment node
import { fileURLToPath } from "node:url";

import { ESLint } from "eslint";
import { describe, expect, it } from "vitest";

const eslint = new ESLint({ cwd: fileURLToPath(new URL("../", import.meta.url)) });

async function refused(filePath: string, imported: string): Promise<boolean> {
  const [result] = await eslint.lintText(`import ${JSON.stringify(imported)};\n`, { filePath });
  return (result?.messages ?? []).some(({ ruleId }) => ruleId === "no-restricted-imports");
}

const FEATURE = "src/platform/usage/src/x.ts";
const PRODUCT = "src/products/inference/endpoints/src/x.ts";

describe("the import rules", { timeout: 60_000 }, () => {
  it.each([
    [FEATURE, "@ironworks/sdk"],
    [FEATURE, "@ironworks/ui/form"],
    [FEATURE, "./words.ts"],
    [FEATURE, "../feature.json"],
    ["src/shell/src/x.ts", "virtual:ironworks-features"],
    ["src/shared/ui/src/form/x.ts", "../field.tsx"],
  ])("let %s import %s", async (file, imported) => {
    expect(await refused(file, imported)).toBe(false);
  });

  it.each([
    [FEATURE, "@ironworks/feature-keys"],
    [FEATURE, "../../keys/src/words.ts"],
    [FEATURE, "../../../products/inference/endpoints/src/words.ts"],
    [FEATURE, "@tanstack/react-query"],
    [PRODUCT, "../../metering/src/words.ts"],
    [PRODUCT, "@radix-ui/react-tabs"],
    ["src/shell/src/x.ts", "@ironworks/feature-keys"],
    ["src/shell/src/x.ts", "../../platform/keys/src/index.tsx"],
    ["src/shared/sdk/src/x.ts", "@ironworks/ui"],
    ["src/shared/sdk/src/x.ts", "../../ui/src/index.ts"],
    ["src/shared/ui/src/x.ts", "../../../platform/keys/src/words.ts"],
  ])("do not let %s import %s", async (file, imported) => {
    expect(await refused(file, imported)).toBe(true);
  });
});
