/** What a line of an invoice is for, as people write it. */
import { words } from "@ironworks/ui";

import type { InvoiceLine } from "./types.ts";

const NAME = /[a-z0-9]+(?:_[a-z0-9]+)+/g;

/** `input_tokens` within a text as words; everything else, days among it, as it is. */
function spelled(text: string): string {
  const said = text.replace(NAME, (name) => {
    const shown = words(name);
    return /^[A-Z][a-z]/.test(shown) ? shown.charAt(0).toLowerCase() + shown.slice(1) : shown;
  });
  return said.charAt(0).toUpperCase() + said.slice(1);
}

/** With its model, where it is one's own. */
export function lineWords(line: Pick<InvoiceLine, "kind" | "meter" | "description" | "model">): string {
  const about = line.kind === "adjustment" && line.meter ? `${line.meter}: ` : "";
  const named = line.meter ? line.description.replaceAll(line.meter.replaceAll("_", " "), line.meter) : line.description;
  const text = spelled(`${about}${named}`);
  return line.model && line.model !== "*" ? `${text} · ${line.model}` : text;
}
