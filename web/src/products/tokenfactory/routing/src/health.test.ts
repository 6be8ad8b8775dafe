import { expect, it } from "vitest";

import { secondsUntil, standingOf } from "./health.ts";
import type { TargetCondition } from "./health.ts";

const seen = (state: TargetCondition["state"]) => ({ state }) as TargetCondition;
const found = (healthy: boolean, reason = "Ready") => ({ target: "x", healthy, reason, message: "" });

it("believes gateways before the controller, but for what they cannot see", () => {
  expect(standingOf(seen("ejected"), found(true))).toBe("ill");
  expect(standingOf(seen("healthy"), found(false, "Ejected"))).toBe("well");
  expect(standingOf(seen("healthy"), found(false, "NotServing"))).toBe("ill");
  expect(standingOf(seen("slow_start"), found(true))).toBe("returning");
  expect(standingOf(seen("resting"), found(true))).toBe("returning");
  expect(standingOf(seen("unknown"), found(true))).toBe("well");
  expect(standingOf(seen("unknown"), undefined)).toBe("unknown");
  expect(standingOf(undefined, found(false, "Ejected"))).toBe("ill");
});

it("counts down to nothing", () => {
  const now = new Date("2026-03-01T12:00:00Z");
  expect(secondsUntil("2026-03-01T12:00:03.2Z", now)).toBe(4);
  expect(secondsUntil("2026-03-01T11:00:00Z", now)).toBe(0);
  expect(secondsUntil(null, now)).toBeNull();
});
