import { catalogue } from "../text.ts";

export const t = catalogue("log", {
  search: "Search",
  found: "{at} of {count}",
  foundNone: "none",
  next: "Next one",
  before: "One before",
  follow: "Follow",
  wrap: "Wrap lines",
  toEnd: "To the newest line",
  copyAll: "Copy all",
  copied: "{count|line|lines} copied",
  save: "Download",
  empty: "Nothing was written yet.",
  lines: "{count|line|lines}",
  linesKept: "the newest {count|line|lines}",
});
