/**
 * Compresses what the build made, once and hard, so that the server only hands out bytes, and then puts it in the place
 * of the build before. Small or already compressed files stay as they are. Prints what a first visit loads.
 */
import { readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = fileURLToPath(new URL("../dist.next/", import.meta.url));
const TEXT = /\.(js|css|html|svg|json)$/;

for (const name of readdirSync(dist, { recursive: true })) {
  const file = join(dist, name);
  if (!statSync(file).isFile() || !TEXT.test(name) || statSync(file).size < 512) continue;
  const content = readFileSync(file);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  writeFileSync(`${file}.br`, brotliCompressSync(content, { params }));
  writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
}

const sizeOf = (name) => {
  const file = join(dist, name);
  return statSync(`${file}.br`, { throwIfNoEntry: false })?.size ?? statSync(file).size;
};
const html = readFileSync(join(dist, "index.html"), "utf8");
const first = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((match) => match[1]);
const total = first.reduce((sum, name) => sum + sizeOf(name), sizeOf("index.html"));
const [place, former] = ["../dist", "../dist.former"].map((path) => fileURLToPath(new URL(path, import.meta.url)));
rmSync(former, { recursive: true, force: true });
if (statSync(place, { throwIfNoEntry: false })) renameSync(place, former);
renameSync(dist, place);
rmSync(former, { recursive: true, force: true });
process.stdout.write(`console: ${(total / 1024).toFixed(0)} KB compressed on a first visit (${first.length} files)\n`);
