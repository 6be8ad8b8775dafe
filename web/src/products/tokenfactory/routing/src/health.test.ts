import { expect, it } from "vitest";

import { secondsUntil, standingOf, upstreamOf } from "./health.ts";
import type { ExternalHealth, TargetCondition } from "./health.ts";

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

it("tells of an upstream what is worst of what the routes to it say, and nothing ill where none does", () => {
  const route = (...upstreams: { upstream: string; state: string; in_flight?: number }[]) => ({ route: "acme/chat", targets: [{ upstreams }] });
  const health = (processes: number, ...routes: ReturnType<typeof route>[]) => ({ processes, routes }) as unknown as ExternalHealth;
  const found = upstreamOf(
    health(2, route({ upstream: "eu", state: "healthy", in_flight: 2 }), route({ upstream: "eu", state: "ejected" }, { upstream: "us", state: "resting" })),
    "eu",
  );
  expect(found.state).toBe("ejected");
  expect(upstreamOf(health(2, route({ upstream: "eu", state: "healthy", in_flight: 2 })), "eu").in_flight).toBe(2);
  expect(upstreamOf(health(2, route()), "eu")).toMatchObject({ state: "healthy", processes: 2 });
  expect(upstreamOf(health(0, route()), "eu").state).toBe("unknown");
});
