/** A console stays open for days: what navigations waited for goes with them. */
import type { AnyRouter } from "@tanstack/react-router";

/**
 * The router resolves the promise of a match's load before last by that of its last one, so that one which is in all
 * addresses, the frame, would keep every navigation there ever was (TanStack/router#6929). What is done is let go.
 */
export function forgetLoads(router: AnyRouter): void {
  router.subscribe("onBeforeLoad", () => {
    for (const { _nonReactive: waiting } of router.state.matches) if (waiting.loadPromise?.status === "resolved") delete waiting.loadPromise;
  });
}
