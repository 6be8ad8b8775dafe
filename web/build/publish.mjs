/**
 * Packs @ironworks/sdk and @ironworks/ui as packages that others can install, and publishes them; `--dry-run` only says
 * what would be in them. In the repository they are imported as TypeScript; what is packed is JavaScript with types.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const web = fileURLToPath(new URL("../", import.meta.url));
const dryRun = process.argv.includes("--dry-run");

for (const name of ["sdk", "ui"]) {
  const source = join(web, "src", "shared", name);
  const stage = join(web, ".stage", name);
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  compile(source, join(stage, "dist"));
  const described = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
  described.exports = Object.fromEntries(Object.entries(described.exports).map(([key, file]) => [key, packed(file)]));
  writeFileSync(join(stage, "package.json"), `${JSON.stringify({ ...described, files: ["dist"] }, null, 2)}\n`);
  writeFileSync(join(stage, "README.md"), `# ${described.name}\n\n${described.description}\n`);
  if (name === "ui") cpSync(join(source, "src", "theme.css"), join(stage, "dist", "theme.css"));
  const [command, ...more] = dryRun ? ["pack", "--dry-run"] : ["publish", "--access", "public"];
  const told = execFileSync("npm", [command, ...more, "--json"], { cwd: stage, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  const [made] = [JSON.parse(told)].flat().map((one) => one[described.name] ?? one);
  const size = (made.size / 1024).toFixed(0);
  process.stdout.write(`console: ${described.name} ${described.version} ${dryRun ? "would be" : "was"} published: ${made.entryCount} files, ${size} KB\n`);
}

function compile(source, out) {
  const config = join(source, "tsconfig.pack.json");
  const options = {
    extends: "../../../tsconfig.json",
    compilerOptions: {
      noEmit: false, outDir: out, rootDir: join(source, "src"), declaration: true, sourceMap: false, allowImportingTsExtensions: false,
      rewriteRelativeImportExtensions: true, types: [],
    },
    include: ["src"],
    exclude: ["**/*.test.ts", "**/*.test.tsx"],
  };
  writeFileSync(config, JSON.stringify(options));
  try {
    execFileSync(process.execPath, [join(web, "node_modules", "typescript", "bin", "tsc"), "-p", config], { stdio: "inherit" });
  } finally {
    rmSync(config);
  }
  for (const file of readdirSync(out, { recursive: true })) {
    if (!file.endsWith(".d.ts")) continue;
    const path = join(out, file);
    writeFileSync(path, readFileSync(path, "utf8").replace(/(["'])(\.[^"']+)\.tsx?\1/g, "$1$2.js$1"));
  }
}

function packed(file) {
  const path = file.replace("./src/", "./dist/");
  if (path.endsWith(".css")) return path;
  const base = path.replace(/\.tsx?$/, "");
  return { types: `${base}.d.ts`, default: `${base}.js` };
}
