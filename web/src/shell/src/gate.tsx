/** What stands before the console: the frame of its pages, and waiting for the API. */
import { Icon } from "@ironworks/ui";
import type { ReactNode } from "react";

import { Logo } from "./logo.tsx";
import { t } from "./words.ts";

export function Splash({ failing }: { failing: boolean }) {
  return (
    <main className="flex min-h-dvh flex-col items-center justify-center gap-4 p-6 text-center">
      <Logo size={36} />
      {failing ? (
        <div role="status" className="max-w-sm">
          <h1 className="text-base font-semibold">{t("unreachable")}</h1>
          <p className="text-sm text-muted">{t("unreachableHint")}</p>
        </div>
      ) : (
        <Icon name="spinner" size={18} className="animate-spin text-faint" />
      )}
    </main>
  );
}

export function Gate({ title, children, version }: { title: string; children: ReactNode; version: string }) {
  return (
    <main className="grid min-h-dvh place-items-center p-4">
      <div className="w-full max-w-sm">
        <div className="mb-6 flex items-center gap-3">
          <Logo size={32} />
          <h1 className="min-w-0 text-xl font-semibold tracking-tight break-words">{title}</h1>
        </div>
        <div className="panel p-5 shadow-pop">{children}</div>
        <p className="mt-4 text-center text-xs text-faint">{t("version", { version })}</p>
      </div>
    </main>
  );
}
