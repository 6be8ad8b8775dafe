/** Logs: `@ironworks/ui/log`, loaded by the pages that show one. */
export { LogView } from "./log-view.tsx";
export { LineStore, MOST_LINES } from "./lines.ts";
