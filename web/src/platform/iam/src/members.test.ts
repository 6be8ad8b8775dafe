import { describe, expect, it } from "vitest";

import { assignmentName, linesOf, randomText, roleScope, subjectFrom } from "./members.ts";
import type { Member } from "./members.ts";

const member = (subject: string, ...scopes: string[]): Member => ({
  subject, kind: "user", display_name: null, active: true,
  assignments: scopes.map((scope) => ({ assignment: `${scope}/a`, scope, role: "-/viewer" })),
});

describe("members", () => {
  it("puts what is given here before what comes from above", () => {
    const lines = linesOf([member("user:a", "-", "acme.shop"), member("user:b", "acme.shop")], "acme.shop", false);
    expect(lines.map((line) => [line.member.subject, line.place])).toEqual([["user:a", "here"], ["user:b", "here"], ["user:a", "above"]]);
    expect(linesOf([member("user:c", "acme.shop.eu")], "acme.shop", true)[0]?.place).toBe("below");
  });

  it("knows whom people mean", () => {
    expect(subjectFrom(" ann@example.com ")).toBe("user:ann@example.com");
    expect(subjectFrom("acme/robot")).toBe("service-account:acme/robot");
    expect(subjectFrom("api-key:acme/k")).toBe("api-key:acme/k");
    expect(subjectFrom("")).toBe("");
  });

  it("names an assignment by what it does, as resources are named", () => {
    const name = assignmentName("user:Ann.O'Neil@example.com", "-/tenant-admin");
    expect(name).toMatch(/^ann-o-neil-tenant-admin-[a-z2-9]{5}$/);
    expect(assignmentName("user:@x", "-/viewer")).toMatch(/^viewer-[a-z2-9]{5}$/);
  });

  it("draws as many letters as it is asked for", () => {
    expect(randomText(20)).toMatch(/^[A-HJ-NP-Za-km-z2-9]{20}$/);
    expect(randomText(20)).not.toBe(randomText(20));
  });

  it("makes roles at accounts and above", () => {
    expect(["-", "acme", "acme.shop.eu"].map(roleScope)).toEqual(["-", "acme", "acme"]);
  });
});
