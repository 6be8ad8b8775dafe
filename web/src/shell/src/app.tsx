/** The gate: reach the API, set the installation up or sign in, then the console itself. */
import { refresh, reportError, useSession } from "@ironworks/sdk";
import type { ConsoleInfo } from "@ironworks/sdk";
import { ErrorBoundary } from "@ironworks/ui";
import { RouterProvider } from "@tanstack/react-router";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Suspense, lazy, useEffect } from "react";

import { Splash } from "./gate.tsx";
import { takeLink } from "./links.ts";
import { makeRouter } from "./router.tsx";
import { SetUp, SignIn } from "./signin.tsx";

const link = takeLink(); // before anything can report the address
const LinkPage = lazy(() => import("./link.tsx"));
const router = makeRouter();

export function App() {
  const session = useSession();
  const client = useQueryClient();
  const start = useQuery({ queryKey: ["start"], queryFn: () => refresh().then((token) => token !== null), retry: true, retryDelay: 1_500, staleTime: Infinity });
  const out = session.state === "out";
  const info = useQuery({
    queryKey: ["console"],
    queryFn: () => fetchInfo(),
    enabled: out || link !== null,
    staleTime: Infinity,
    retry: true,
    retryDelay: 1_500,
  });
  useEffect(() => {
    if (out) client.removeQueries({ predicate: (query) => !["start", "console", "link"].includes(String(query.queryKey[0])) });
  }, [out, client]);

  if (link && info.data && session.state !== "unknown") {
    return (
      <Suspense fallback={<Splash failing={false} />}>
        <LinkPage link={link} info={info.data} />
      </Suspense>
    );
  }
  if (session.state === "in" && !link) {
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

