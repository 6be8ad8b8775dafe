/** What the pages before the console share: forms that are sent, and the buttons of providers. */
import { ApiError, tell } from "@ironworks/sdk";
import type { ConsoleInfo } from "@ironworks/sdk";
import { Button } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { t } from "./words.ts";

/** Sends a form; what the API refuses is said at the field it is about, or above the button. */
export function useSending(send: () => Promise<void>) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | Error | null>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await send();
    } catch (problem) {
      setError(problem instanceof Error ? problem : new Error(String(problem)));
    } finally {
      setBusy(false);
    }
  };
  const problemOf = (field: string) => (error instanceof ApiError ? error.problemOf(field) : undefined);
  const atField = error instanceof ApiError && error.fields.length > 0;
  return { busy, submit, problemOf, error, problem: error && !atField ? tell(error) : null };
}

/** The buttons of providers, which come back to `returnTo`, and what divides them from a password. */
export function Providers({ info, returnTo, onLeave }: { info: ConsoleInfo; returnTo: string; onLeave?: () => void }) {
  const [left, setLeft] = useState("");
  if (info.sign_in.oidc.length === 0) return null;
  const leave = ({ id, url }: ConsoleInfo["sign_in"]["oidc"][number]) => {
    setLeft(id);
    onLeave?.();
    location.assign(`${url}?${new URLSearchParams({ return_to: returnTo })}`);
  };
  return (
    <>
      <div className="flex flex-col gap-2">
        {info.sign_in.oidc.map((provider) => (
          <Button key={provider.id} icon="shield" busy={left === provider.id} onClick={() => leave(provider)}>
            {t("signInBy", { provider: provider.label })}
          </Button>
        ))}
      </div>
      <p className="flex items-center gap-3 text-xs text-faint before:h-px before:flex-1 before:bg-line after:h-px after:flex-1 after:bg-line">{t("orPassword")}</p>
    </>
  );
}
