import { catalogue } from "../text.ts";

export const t = catalogue("form", {
  optional: "optional",
  add: "Add",
  remove: "Remove {item}",
  moveUp: "Move up",
  leaveOut: "Leave {field} out",
  moreFields: "{count|more setting|more settings}",
  neverChanges: "It never changes.",
  willNotChange: "It cannot be changed later.",
  secretKept: "kept secret; type to replace it",
  notSet: "not set",
  byDefault: "{value} (default)",
  choose: "Choose…",
  noneOf: "No {kind}",
  newKey: "New key of {field}",
  newKeyName: "name",
  unitOf: "Unit of {field}",
  unitDays: "days",
  emptyList: "Empty: none at all.",
  unitCores: "cores",
  unitMillicores: "thousandths of a core",
});
