import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { Freshener, live } from "./topics.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  Object.defineProperty(document, "visibilityState", { value: "visible", configurable: true });
});

const hide = (state: "hidden" | "visible") => {
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
};

/** A page that shows some topics at a scope, answered after `takes` milliseconds. */
async function shown(scope: string, topics: string[], takes = 0, client = new QueryClient()) {
  const asked: number[] = [];
  const observer = new QueryObserver(client, {
    queryKey: [scope, ...topics],
    queryFn: async () => {
      asked.push(Date.now());
      await new Promise((resolve) => setTimeout(resolve, takes));
      return asked.length;
    },
    ...live(scope, ...topics),
  });
  const stop = observer.subscribe(() => undefined);
  await vi.advanceTimersByTimeAsync(takes + 1);
  asked.length = 0;
  return { client, asked, stop, fresh: new Freshener(client) };
}

it("asks again for what shows the topic there, above or below, and for nothing else", async () => {
  const { asked, fresh } = await shown("acme.shop", ["usage", "ledger"]);
  for (const [topic, scope] of [["invoices", "acme.shop"], ["usage", "rival"], ["usage", "acme.shopping"], ["usage", "acme.other.eu"]] as const) fresh.touch(topic, scope);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(asked).toHaveLength(0);
  for (const scope of ["acme.shop.eu", "acme.shop", "acme", "-"]) {
    fresh.touch("ledger", scope);
    await vi.advanceTimersByTimeAsync(2_000);
  }
  expect(asked).toHaveLength(4);
});

it("asks at once, and at most once a second however much changes", async () => {
  const { asked, fresh } = await shown("acme", ["usage"]);
  const began = Date.now();
  for (let ms = 0; ms < 5_000; ms += 20) {
    fresh.touch("usage", "acme");
    await vi.advanceTimersByTimeAsync(20);
  }
  expect((asked[0] ?? Infinity) - began).toBeLessThan(100);
  expect(asked.length).toBeGreaterThanOrEqual(4);
  expect(asked.length).toBeLessThanOrEqual(6);
  await vi.advanceTimersByTimeAsync(5_000);
  const last = asked.length;
  await vi.advanceTimersByTimeAsync(60_000); // nothing changes: nothing is asked
  expect(asked).toHaveLength(last);
});

it("lets a slow answer come before it asks again, and rests for longer", async () => {
  const { asked, fresh } = await shown("acme", ["usage"], 3_000);
  for (let ms = 0; ms < 20_000; ms += 500) {
    fresh.touch("usage", "acme");
    await vi.advanceTimersByTimeAsync(500);
  }
  expect(asked.length).toBeGreaterThanOrEqual(2);
  expect(asked.length).toBeLessThanOrEqual(3);
});

it("never loses the last change, also one that comes while it asks", async () => {
  const { asked, fresh } = await shown("acme", ["usage"], 500);
  fresh.touch("usage", "acme");
  await vi.advanceTimersByTimeAsync(200);
  expect(asked).toHaveLength(1);
  fresh.touch("usage", "acme");
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked).toHaveLength(2);
});

it("asks again where the first answer was on its way when something changed", async () => {
  const client = new QueryClient();
  const asked: number[] = [];
  const observer = new QueryObserver(client, {
    queryKey: ["slow"],
    queryFn: () => new Promise((resolve) => setTimeout(() => resolve(asked.push(Date.now())), 300)),
    ...live("acme", "usage"),
  });
  observer.subscribe(() => undefined);
  new Freshener(client).touch("usage", "acme");
  await vi.advanceTimersByTimeAsync(5_000);
  expect(asked).toHaveLength(2);
});

it("waits until somebody looks", async () => {
  const { asked, fresh } = await shown("acme", ["usage"]);
  hide("hidden");
  fresh.touch("usage", "acme");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(0);
  hide("visible");
  await vi.advanceTimersByTimeAsync(100);
  expect(asked).toHaveLength(1);
});

it("marks what is not shown now, which is asked for when it is shown again", async () => {
  const { client, asked, stop, fresh } = await shown("acme", ["usage"]);
  stop();
  fresh.touch("usage", "acme");
  await vi.advanceTimersByTimeAsync(2_000);
  expect(asked).toHaveLength(0);
  expect(client.getQueryState(["acme", "usage"])?.isInvalidated).toBe(true);
});

it("asks for everything that is live where nobody told what changed", async () => {
  const { client, asked, fresh } = await shown("acme", ["usage"]);
  await client.prefetchQuery({ queryKey: ["other"], queryFn: () => 1 });
  fresh.touchAll();
  fresh.touchOlder(0);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(asked).toHaveLength(1);
  expect(client.getQueryState(["other"])?.isInvalidated).toBe(false);
});
