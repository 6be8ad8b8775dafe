import { expect, it } from "vitest";

import { covers, levelOf, parentOf, permissionWord, splitReference } from "./resource.ts";

it("knows what a scope is by how deep it lies", () => {
  expect(["-", "acme", "acme.shop", "acme.shop.eu", "acme.shop.eu.returns"].map(levelOf)).toEqual([
    "operator", "account", "platform", "tenant", "tenant",
  ]);
  expect(["-", "acme", "acme.shop.eu"].map(parentOf)).toEqual([null, "-", "acme.shop"]);
});

it("covers what is below, and not what only begins alike", () => {
  expect(covers("acme", "acme.shop")).toBe(true);
  expect(covers("acme.shop", "acme.shopping")).toBe(false);
  expect(covers("-", "acme")).toBe(true);
  expect(covers("acme", "-")).toBe(false);
});

it("reads references and names permissions", () => {
  expect(splitReference("-/local", "acme.shop.eu")).toEqual({ scope: "-", name: "local" });
  expect(splitReference("chat", "acme.shop.eu")).toEqual({ scope: "acme.shop.eu", name: "chat" });
  expect(permissionWord("ExternalEndpoint")).toBe("external-endpoint");
});
