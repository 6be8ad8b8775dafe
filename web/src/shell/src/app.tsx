/** The gate: reach the API, set the installation up or sign in, then the console itself. */
import { refresh, reportError, useSession } from "@ironworks/sdk";
import type { ConsoleInfo } from "@ironworks/sdk";
import { ErrorBoundary } from "@ironworks/ui";
import { RouterProvider } from "@tanstack/react-router";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";

import { makeRouter } from "./router.tsx";
import { SetUp, SignIn, Splash } from "./signin.tsx";

const router = makeRouter();

export function App() {
  const session = useSession();
  const client = useQueryClient();
  const start = useQuery({ queryKey: ["start"], queryFn: () => refresh().then((token) => token !== null), retry: true, retryDelay: 1_500, staleTime: Infinity });
  const out = session.state === "out";
  const info = useQuery({
    queryKey: ["console"],
    queryFn: () => fetchInfo(),
    enabled: out,
    staleTime: Infinity,
    retry: true,
    retryDelay: 1_500,
  });
  useEffect(() => {
    if (out) client.removeQueries({ predicate: (query) => !["start", "console"].includes(String(query.queryKey[0])) });
  }, [out, client]);

  if (session.state === "in") {
    return (
      <ErrorBoundary onError={(error, component) => reportError(error, { component })}>
        <RouterProvider router={router} />
      </ErrorBoundary>
    );
  }
  if (session.state === "unknown" || !info.data) return <Splash failing={start.failureCount + info.failureCount > 0} />;
  if (info.data.setup_needed) return <SetUp info={info.data} />;
  return <SignIn info={info.data} ended={session.ended} />;
}

async function fetchInfo(): Promise<ConsoleInfo> {
  const response = await fetch("/api/v1/console");
  if (!response.ok) throw new Error(`the API answered ${response.status}`);
  return (await response.json()) as ConsoleInfo;
}

