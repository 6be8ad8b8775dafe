import { expect, it } from "vitest";

import { mergeInto } from "./live.ts";
import type { Change } from "./live.ts";
import type { Resource } from "./resource.ts";

const made = (name: string, version: number, phase = "Pending"): Resource => ({
  api_version: "v1",
  kind: "Endpoint",
  metadata: {
    name, scope: "acme.shop.eu", uid: name, display_name: null, labels: {}, annotations: {}, generation: 1, resource_version: version,
    creation_timestamp: "", update_timestamp: "", deletion_timestamp: null, owner_references: [],
  },
  spec: {},
  status: { phase, conditions: [], observed_generation: 1 },
});
const pages = (...items: Resource[]) => ({ pages: [{ items, next_cursor: null, resource_cursor: "c" }], pageParams: [null] });
const change = (event: Change["event"], resource: Resource): Change => ({ event, plural: "endpoints", resource });
const shown = (data: ReturnType<typeof mergeInto>) => data.pages.flatMap((page) => page.items.map((item) => `${item.metadata.name}@${item.metadata.resource_version}`));

it("takes what is newer, and drops what is older than what it holds", () => {
  expect(shown(mergeInto(pages(made("a", 5)), [change("modified", made("a", 7))]))).toEqual(["a@7"]);
  expect(shown(mergeInto(pages(made("a", 5)), [change("modified", made("a", 3))]))).toEqual(["a@5"]);
});

it("adds what is new and removes what is gone, whatever came in between", () => {
  const changes = [change("added", made("b", 6)), change("modified", made("b", 8)), change("deleted", made("a", 9))];
  expect(shown(mergeInto(pages(made("a", 5)), changes))).toEqual(["b@8"]);
});

it("does not bring back what was deleted in the same breath", () => {
  expect(shown(mergeInto(pages(), [change("added", made("x", 1)), change("deleted", made("x", 2))]))).toEqual([]);
});
