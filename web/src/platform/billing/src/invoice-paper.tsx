/**
 * An invoice as its customer gets it. The API draws a page of its own; its style sheet and body are shown in a shadow
 * root, where they touch nothing else. The console's policy allows no frames and no style elements, so the sheet is
 * adopted instead of inserted.
 */
import { tell, useQuery } from "@ironworks/sdk";
import { Callout, Loading } from "@ironworks/ui";
import { useEffect, useRef } from "react";

import { fetchFile } from "./download.ts";

export function InvoicePaper({ path, name }: { path: string; name: string }) {
  const page = useQuery({ queryKey: ["billing", "paper", path], queryFn: async () => (await fetchFile(path)).text() });
  if (page.error) return <Callout tone="bad">{tell(page.error)}</Callout>;
  return page.data === undefined ? <Loading /> : <Paper html={page.data} name={name} />;
}

function Paper({ html, name }: { html: string; name: string }) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const root = element.shadowRoot ?? element.attachShadow({ mode: "open" });
    const { style, body } = partsOf(html);
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`${style}.body{min-width:38rem;box-sizing:border-box}`); // a phone scrolls it as it is
    root.adoptedStyleSheets = [sheet];
    root.replaceChildren(body);
  }, [html]);
  return <div ref={host} role="region" tabIndex={0} aria-label={name} className="thin-scroll overflow-x-auto rounded-lg border border-line bg-[#fff] text-[#1b1f24] [color-scheme:light]" />;
}

/** The style sheet, for an element in the place of the body, and that element. Styles are taken out of the text: the
 * policy holds for documents that are only read, too. */
export function partsOf(html: string): { style: string; body: HTMLElement } {
  const sheets = /<style[^>]*>([^]*?)<\/style>/gi;
  const style = [...html.matchAll(sheets)].map((each) => each[1] ?? "").join("\n");
  const parsed = new DOMParser().parseFromString(html.replace(sheets, ""), "text/html");
  const body = document.createElement("div");
  body.className = "body";
  for (const script of parsed.querySelectorAll("script,style,link")) script.remove();
  body.append(...parsed.body.childNodes);
  return { style: style.replace(/(^|\})body\{/g, "$1.body{"), body };
}
