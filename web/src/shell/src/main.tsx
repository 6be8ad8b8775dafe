/** Starts the console: theme first, so that nothing flashes, then who is signed in. */
import { beginReporting } from "@ironworks/sdk";
import { Toasts, TooltipLayer, followTheme } from "@ironworks/ui";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./app.tsx";
import { retryLater } from "./retry.ts";

followTheme();
beginReporting();

const client = new QueryClient({
  defaultOptions: {
    queries: { retry: retryLater, refetchOnWindowFocus: false, staleTime: 30_000, gcTime: 10 * 60_000 },
  },
});
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <App />
        <Toasts />
        <TooltipLayer />
      </QueryClientProvider>
    </StrictMode>,
  );
}
