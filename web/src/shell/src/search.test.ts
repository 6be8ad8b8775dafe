import { createMemoryHistory, createRootRoute, createRouter } from "@tanstack/react-router";
import { expect, it } from "vitest";

import { wordsAlone } from "./search.ts";

const QUERY = "?q=1.0&of=1e5&price=0.0000004&f.state=true&name=null";

const queryIn = (options: object): string =>
  createRouter({ routeTree: createRootRoute(), history: createMemoryHistory({ initialEntries: [`/${QUERY}`] }), ...options }).latestLocation.searchStr;

it("keeps every word of an address as it was written", () => {
  expect(queryIn(wordsAlone)).toBe(QUERY);
  expect(queryIn({})).not.toBe(QUERY); // what the router does by itself
});
