import { createMemoryHistory, createRootRoute, createRoute, createRouter } from "@tanstack/react-router";
import { expect, it, vi } from "vitest";

import { forgetLoads } from "./loads.ts";

it("lets a navigation that is done go before the next one", async () => {
  const root = createRootRoute();
  const page = createRoute({ getParentRoute: () => root, path: "/$page" });
  const router = createRouter({ routeTree: root.addChildren([page]), history: createMemoryHistory({ initialEntries: ["/one"] }) });
  forgetLoads(router);
  await router.load();
  const first = router.state.matches[0]?._nonReactive.loadPromise;
  const resolved = vi.spyOn(first ?? expect.fail("nothing was loaded"), "resolve");
  router.history.push("/two");
  await router.load();
  expect(router.state.matches[1]?.params).toEqual({ page: "two" });
  expect(resolved).not.toHaveBeenCalled();
});
