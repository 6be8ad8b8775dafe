import { describe, expect, it } from "vitest";

import { outcomeOf } from "./outcomes.ts";

describe("how a request ended", () => {
  it("is told with a remedy where something went wrong", () => {
    expect(outcomeOf(502, "upstream_error")).toMatchObject({ tone: "bad", title: "The model server failed" });
    expect(outcomeOf(502, "upstream_error").remedy).toMatch(/logs/);
    expect(outcomeOf(504, null).title).toBe("The model server took too long");
    expect(outcomeOf(499, null)).toMatchObject({ tone: "idle", title: "The caller left" });
  });

  it("names a code that it does not know", () => {
    expect(outcomeOf(418, "teapot")).toMatchObject({ tone: "warn", title: "It ended with status 418", why: "The caller was told teapot." });
    expect(outcomeOf(418, null).why).toBeUndefined();
  });

  it("says of an answer what is out of the ordinary", () => {
    expect(outcomeOf(200, null)).toEqual({ tone: "ok", title: "Answered" });
    expect(outcomeOf(200, null, 2).why).toMatch(/more than one try/);
    expect(outcomeOf(200, null, 1, true).why).toMatch(/given again/);
  });
});
