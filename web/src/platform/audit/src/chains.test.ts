import type { Bootstrap } from "@ironworks/sdk";
import { beforeEach, describe, expect, it } from "vitest";

import { anchorOf, chainsOf, noteAnchor } from "./chains.ts";

const bootstrap = {
  scopes: ["acme", "acme.shop", "acme.lab", "acme.shop.eu", "other.shop"].map((path) => ({
    path, kind: path.split(".").length === 2 ? "Platform" : "Tenant", display_name: null, phase: "Ready",
  })),
} as unknown as Bootstrap;

describe("chains", () => {
  beforeEach(() => localStorage.clear());

  it("are the platform's, the platforms' of an account, or all", () => {
    const all = () => true;
    expect(chainsOf("acme.shop.eu", bootstrap, all)).toEqual(["acme.shop"]);
    expect(chainsOf("acme", bootstrap, all)).toEqual(["acme.shop", "acme.lab"]);
    expect(chainsOf("-", bootstrap, all)).toEqual([null]);
    expect(chainsOf("acme", bootstrap, (scope) => scope === "acme.lab")).toEqual(["acme.lab"]);
    expect(chainsOf("acme.shop", bootstrap, () => false)).toEqual([]);
  });

  it("keep their ends in the browser, and take nothing else for one", () => {
    const head = "ab".repeat(32);
    expect(anchorOf("acme.shop")).toBeNull();
    expect(noteAnchor({ platform: "acme.shop", ok: true, records: 7, head, first_bad: null })).toBe(true);
    expect(anchorOf("acme.shop")).toEqual({ records: 7, head });
    localStorage.setItem("ironworks.audit.anchor.acme.shop", '{"records":"7","head":"x"}');
    expect(anchorOf("acme.shop")).toBeNull();
    expect(noteAnchor({ platform: "a.b", ok: true, records: 0, head, first_bad: null })).toBe(false);
  });
});
