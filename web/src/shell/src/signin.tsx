/** The pages before the console: signing in, and setting an installation up. */
import { ApiError, setUp, signIn, tell } from "@ironworks/sdk";
import type { ConsoleInfo } from "@ironworks/sdk";
import { Button, Callout, Field, Icon, Input, PasswordInput } from "@ironworks/ui";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { FormEvent, ReactNode } from "react";

import { Logo } from "./logo.tsx";
import { t } from "./words.ts";

/** Where a provider's sign-in comes back to when it fails. */
const SIGN_IN = "/sign-in";

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

function Gate({ title, children, version }: { title: string; children: ReactNode; version: string }) {
  return (
    <main className="grid min-h-dvh place-items-center p-4">
      <div className="w-full max-w-sm">
        <div className="mb-6 flex items-center gap-3">
          <Logo size={32} />
          <h1 className="text-xl font-semibold tracking-tight">{title}</h1>
        </div>
        <div className="panel p-5 shadow-pop">{children}</div>
        <p className="mt-4 text-center text-xs text-faint">{t("version", { version })}</p>
      </div>
    </main>
  );
}

/** Sends a form; what the API refuses is said at the field it is about, or above the button. */
function useSending(send: () => Promise<void>) {
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
  return { busy, submit, problemOf, problem: error && !atField ? tell(error) : null };
}

const PROBLEMS = { cancelled: "cancelled", expired: "expired", unverified: "unverified", "unknown-user": "unknownUser", provider: "provider" } as const;

/** Why a provider's sign-in came back without a session. Told once: the address is the start's again. */
function takeProblem(): string | null {
  if (location.pathname !== SIGN_IN) return null;
  const found = new URLSearchParams(location.search).get("problem") ?? "";
  history.replaceState(null, "", "/");
  return found in PROBLEMS ? t(PROBLEMS[found as keyof typeof PROBLEMS]) : null;
}

/** The buttons of providers, which come back to the page that was asked for. */
function Providers({ info }: { info: ConsoleInfo }) {
  const [left, setLeft] = useState("");
  const leave = ({ id, url }: ConsoleInfo["sign_in"]["oidc"][number]) => {
    setLeft(id);
    const back = location.pathname === SIGN_IN ? "/" : location.pathname + location.search;
    location.assign(`${url}?${new URLSearchParams({ return_to: back })}`);
  };
  return (
    <div className="flex flex-col gap-2">
      {info.sign_in.oidc.map((provider) => (
        <Button key={provider.id} icon="shield" busy={left === provider.id} onClick={() => leave(provider)}>
          {t("signInBy", { provider: provider.label })}
        </Button>
      ))}
    </div>
  );
}

export function SignIn({ info, ended }: { info: ConsoleInfo; ended: boolean }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [refusal] = useState(takeProblem);
  const byProvider = info.sign_in.oidc.length > 0;
  const { busy, submit, problemOf, problem } = useSending(() => signIn(email, password));
  return (
    <Gate title={t("signInTo")} version={info.version}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
        {ended && <Callout tone="info">{t("sessionOver")}</Callout>}
        {refusal && <Callout tone="bad">{refusal}</Callout>}
        {byProvider && <Providers info={info} />}
        {byProvider && (
          <p className="flex items-center gap-3 text-xs text-faint before:h-px before:flex-1 before:bg-line after:h-px after:flex-1 after:bg-line">{t("orPassword")}</p>
        )}
        <Field label={t("email")} problem={problemOf("email")}>
          {(ids) => (
            <Input {...ids} type="email" name="email" autoComplete="username" required autoFocus={!byProvider} value={email} onChange={(event) => setEmail(event.target.value)} />
          )}
        </Field>
        <Field label={t("password")} problem={problemOf("password")}>
          {(ids) => (
            <PasswordInput {...ids} name="password" autoComplete="current-password" required value={password} onChange={(event) => setPassword(event.target.value)} />
          )}
        </Field>
        {problem && <Callout tone="bad">{problem}</Callout>}
        <Button type="submit" look="primary" busy={busy}>
          {t("signIn")}
        </Button>
      </form>
    </Gate>
  );
}

export function SetUp({ info }: { info: ConsoleInfo }) {
  const client = useQueryClient();
  const [key, setKey] = useState("");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const { busy, submit, problemOf, problem } = useSending(async () => {
    await setUp(key.trim(), email, password);
    client.setQueryData(["console"], { ...info, setup_needed: false });
  });
  return (
    <Gate title={t("setUp")} version={info.version}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
        <p className="text-sm text-muted">{t("setUpHint")}</p>
        <Field label={t("operatorKey")} hint={t("operatorKeyHint")} problem={problemOf("operator_key")}>
          {(ids) => (
            <PasswordInput {...ids} name="operator-key" autoComplete="off" required autoFocus value={key} onChange={(event) => setKey(event.target.value)} />
          )}
        </Field>
        <Field label={t("email")} problem={problemOf("email")}>
          {(ids) => (
            <Input {...ids} type="email" name="email" autoComplete="username" required value={email} onChange={(event) => setEmail(event.target.value)} />
          )}
        </Field>
        <Field label={t("newPassword")} hint={t("passwordHint")} problem={problemOf("password")}>
          {(ids) => (
            <PasswordInput {...ids} name="new-password" autoComplete="new-password" required minLength={12} value={password} onChange={(event) => setPassword(event.target.value)} />
          )}
        </Field>
        {problem && <Callout tone="bad">{problem}</Callout>}
        <Button type="submit" look="primary" busy={busy}>
          {t("setUpAction")}
        </Button>
      </form>
    </Gate>
  );
}
