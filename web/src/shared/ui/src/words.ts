/** The words of the components themselves. */
import { catalogue } from "./text.ts";

export const t = catalogue("ui", {
  cancel: "Cancel",
  close: "Close",
  copied: "Copied",
  copy: "Copy",
  undo: "Undo",
  notifications: "Notifications",
  typeToConfirm: "Type {word} to confirm",
  filter: "Filter",
  clearFilter: "Clear filter",
  nothingMatches: "Nothing matches the filter.",
  noOption: "Nothing found",
  rows: "{count|row|rows}",
  loadingMore: "Loading more…",
  loading: "Loading…",
  crashed: "This part of the page failed",
  crashedHint: "The rest of the console goes on working. The failure has been reported.",
  tryAgain: "Try again",
  justNow: "just now",
  never: "never",
  show: "Show",
  hide: "Hide",
  sortBy: "Sort by {column}",
  anyValue: "Any {column}",
});
