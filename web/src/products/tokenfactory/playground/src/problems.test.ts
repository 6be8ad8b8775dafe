import { ApiError } from "@ironworks/sdk";
import { expect, it } from "vitest";

import { GatewayError } from "./gateway.ts";
import { problemOf } from "./problems.ts";

it("says what happened, what the gateway says of it, and where to go", () => {
  expect(problemOf(new GatewayError(429, "budget_exhausted", "the budget a.b/x does not cover it", 60, "req_1"))).toMatchObject({
    title: "The budget is used up",
    detail: "the budget a.b/x does not cover it",
    feature: "budgets",
    requestId: "req_1",
  });
  expect(problemOf(new GatewayError(429, "rate_limit_exceeded", "", 3)).remedy).toContain("again in 3 s");
});

it("names the setting where the gateway does not let the page call", () => {
  expect(problemOf(new GatewayError(0, "unreachable", "http://gateway/v1")).remedy).toContain("IRONWORKS_GATEWAY_CORS_ORIGINS");
});

it("tells a key that could not be made from a call that failed, and passes on what it does not know", () => {
  expect(problemOf(new ApiError(409, "QUOTA_EXCEEDED", "10 keys are used")).detail).toBe("10 keys are used");
  expect(problemOf(new GatewayError(418, "teapot", "short and stout"))).toMatchObject({ title: "That did not work", detail: "short and stout" });
});
