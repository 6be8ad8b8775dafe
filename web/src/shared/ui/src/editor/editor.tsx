/**
 * YAML, viewed, edited or compared. It lives in a shadow tree: there CodeMirror adopts its style sheets, while in the
 * document it would inject style elements, which the console's policy forbids.
 */
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, bracketMatching, foldGutter, foldKeymap, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, linter, lintKeymap } from "@codemirror/lint";
import { unifiedMergeView } from "@codemirror/merge";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import type { Extension } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";

import { findProblems } from "./validate.ts";
import type { JsonSchema } from "./validate.ts";

interface EditorProps {
  label: string;
  value: string;
  onChange?: (text: string) => void;
  onSave?: () => void;
  /** What the document must be like; problems show in the margin. */
  schema?: JsonSchema;
  /** Shown beside it: what changed since. */
  original?: string;
}

const LOOK = EditorView.theme({
  "&": { backgroundColor: "var(--canvas)", color: "var(--ink)", fontSize: "12px", height: "100%" },
  ".cm-scroller": { fontFamily: '"JetBrains Mono Variable", monospace', lineHeight: "1.6" },
  ".cm-content": { caretColor: "var(--accent)", padding: "8px 0" },
  ".cm-gutters": { backgroundColor: "var(--canvas)", color: "var(--faint)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--raised) 70%, transparent)" },
  "&.cm-focused": { outline: "none" },
  ".cm-selectionBackground, &.cm-focused .cm-selectionBackground": { backgroundColor: "var(--accent-soft) !important" },
  ".cm-cursor": { borderLeftColor: "var(--accent)" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", border: "1px solid var(--line)", borderRadius: "6px", fontSize: "12px" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-panels": { backgroundColor: "var(--raised)", color: "var(--ink)" },
  ".cm-changedLine": { backgroundColor: "var(--ok-soft) !important" },
  ".cm-deletedChunk": { backgroundColor: "var(--bad-soft) !important" },
  ".cm-changedText": { background: "color-mix(in srgb, var(--ok) 35%, transparent) !important" },
  ".cm-deletedText": { background: "color-mix(in srgb, var(--bad) 35%, transparent) !important" },
  ".cm-deletedChunk .cm-chunkButtons": { display: "none" },
});

const COLOURS = syntaxHighlighting(
  HighlightStyle.define([
    { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--info)" },
    { tag: [tags.string, tags.content], color: "var(--ink)" },
    { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--accent)" },
    { tag: tags.comment, color: "var(--faint)", fontStyle: "italic" },
    { tag: [tags.punctuation, tags.separator], color: "var(--faint)" },
  ]),
);

const BASE: Extension = [
  lineNumbers(),
  foldGutter(),
  history(),
  drawSelection(),
  indentOnInput(),
  bracketMatching(),
  highlightSelectionMatches(),
  yaml(),
  LOOK,
  COLOURS,
  EditorView.lineWrapping,
  keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap, ...foldKeymap, ...lintKeymap, indentWithTab]),
];

function extensions({ label, onChange, onSave, schema, original }: EditorProps): Extension {
  const writable = onChange !== undefined;
  return [
    keymap.of([{ key: "Mod-s", run: () => (onSave?.(), true) }]),
    BASE,
    EditorState.tabSize.of(2),
    EditorState.readOnly.of(!writable),
    EditorView.contentAttributes.of({ "aria-label": label, ...(writable ? {} : { tabindex: "0" }) }),
    writable ? highlightActiveLine() : [],
    EditorView.updateListener.of((update) => {
      if (update.docChanged) onChange?.(update.state.doc.toString());
    }),
    schema && writable ? [lintGutter(), linter((view) => findProblems(view.state.doc.toString(), schema), { delay: 250 })] : [],
    original === undefined ? [] : unifiedMergeView({ original, mergeControls: false, collapseUnchanged: { margin: 3 } }),
  ];
}

export default function Editor(props: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef(props);
  useEffect(() => {
    latest.current = props;
  });
  const writable = props.onChange !== undefined;
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const root = element.shadowRoot ?? element.attachShadow({ mode: "open" });
    const parent = document.createElement("div");
    parent.style.height = "100%";
    root.append(parent);
    const given = latest.current;
    const state = EditorState.create({
      doc: given.value,
      extensions: extensions({
        ...given,
        ...(given.onChange && { onChange: (text: string) => latest.current.onChange?.(text) }),
        onSave: () => latest.current.onSave?.(),
      }),
    });
    const made = new EditorView({ state, parent, root });
    view.current = made;
    return () => {
      made.destroy();
      parent.remove();
      view.current = null;
    };
  }, [writable, props.original, props.schema]);
  useEffect(() => {
    const shown = view.current;
    if (!shown || shown.state.doc.toString() === props.value) return;
    shown.dispatch({ changes: { from: 0, to: shown.state.doc.length, insert: props.value } });
  }, [props.value]);
  return <div ref={host} className="h-full min-h-40 overflow-hidden rounded-md border border-line" />;
}
