/** Components that are large and seldom needed at once: they come when they are first shown. */
import { Suspense, lazy } from "react";
import type { ComponentProps } from "react";

import { Skeleton } from "./layout.tsx";

const LoadedEditor = lazy(() => import("./editor/index.ts"));
const LoadedChart = lazy(() => import("./chart.tsx"));

export const YamlEditor = (props: ComponentProps<typeof LoadedEditor>) => (
  <Suspense fallback={<Skeleton className="h-full min-h-40 w-full" />}>
    <LoadedEditor {...props} />
  </Suspense>
);

export const TimeChart = (props: ComponentProps<typeof LoadedChart>) => (
  <Suspense fallback={<Skeleton className="h-50 w-full" />}>
    <LoadedChart {...props} />
  </Suspense>
);

export const loadYaml = () => import("./yaml.ts");
