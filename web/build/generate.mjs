/**
 * Makes the typed client from the contracts that the Python side publishes: contracts/openapi.yaml and
 * contracts/feature.schema.json. What it writes is never committed, so it cannot drift.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { compileFromFile } from "json-schema-to-typescript";
import openapiTS, { astToString } from "openapi-typescript";
import { parse } from "yaml";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = at("../src/shared/sdk/src/generated/");
const banner = "// made by build/generate.mjs from contracts/; do not edit\n";

function write(name, text) {
  const file = out + name;
  if (existsSync(file) && readFileSync(file, "utf8") === text) return;
  writeFileSync(file, text);
}

mkdirSync(out, { recursive: true });
const contract = parse(readFileSync(at("../../contracts/openapi.yaml"), "utf8"));
for (const path of Object.values(contract.paths)) {
  for (const operation of Object.values(path)) delete operation.operationId; // calls go by path, names are not needed
}
const api = await openapiTS(contract, { alphabetize: true });
write("api.ts", banner + astToString(api));
const manifest = await compileFromFile(at("../../contracts/feature.schema.json"), {
  additionalProperties: false,
  bannerComment: banner.trim(),
});
write("feature.ts", manifest);
