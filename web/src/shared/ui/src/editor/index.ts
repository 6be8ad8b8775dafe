/** Loaded only where YAML is shown: CodeMirror is larger than the shell. */
export { default } from "./editor.tsx";
