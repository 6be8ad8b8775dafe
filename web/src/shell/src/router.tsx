/** Two addresses: the start, and a feature's page at a scope. What lies below a feature is its manifest's business. */
import { createRootRoute, createRoute, createRouter } from "@tanstack/react-router";

import { Frame, Start } from "./frame.tsx";
import { FeaturePage } from "./feature-page.tsx";
import { forgetLoads } from "./loads.ts";
import { NotFound } from "./not-found.tsx";
import { wordsAlone } from "./search.ts";

export function makeRouter() {
  const root = createRootRoute({ component: Frame, notFoundComponent: NotFound });
  const start = createRoute({ getParentRoute: () => root, path: "/", component: Start });
  const scope = createRoute({ getParentRoute: () => root, path: "/s/$scope", component: Start });
  const page = createRoute({ getParentRoute: () => root, path: "/s/$scope/$", component: FeaturePage });
  const router = createRouter({ routeTree: root.addChildren([start, scope, page]), scrollRestoration: false, ...wordsAlone });
  forgetLoads(router);
  return router;
}
