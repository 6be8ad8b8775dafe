/** The pages before the console: signing in, and setting an installation up. */
import { ask, setUp, signIn } from "@ironworks/sdk";
import type { ConsoleInfo } from "@ironworks/sdk";
import { Button, Callout, CodeBlock, Field, Input, PasswordInput } from "@ironworks/ui";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { Providers, useSending } from "./entering.tsx";
import { Gate } from "./gate.tsx";
import { t } from "./words.ts";

/** Where a provider's sign-in comes back to when it fails. */
const SIGN_IN = "/sign-in";

const PROBLEMS = { cancelled: "cancelled", expired: "expired", unverified: "unverified", "unknown-user": "unknownUser", provider: "provider" } as const;

/** Why a provider's sign-in came back without a session. Told once: the address is the start's again. */
function takeProblem(): string | null {
  if (location.pathname !== SIGN_IN) return null;
  const found = new URLSearchParams(location.search).get("problem") ?? "";
  history.replaceState(null, "", "/");
  return found in PROBLEMS ? t(PROBLEMS[found as keyof typeof PROBLEMS]) : null;
}

export function SignIn({ info, ended }: { info: ConsoleInfo; ended: boolean }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [refusal] = useState(takeProblem);
  const byProvider = info.sign_in.oidc.length > 0;
  const [forgot, setForgot] = useState(false);
  const { busy, submit, problemOf, problem } = useSending(() => signIn(email, password));
  if (forgot) return <Forgot info={info} known={email} onBack={() => setForgot(false)} />;
  return (
    <Gate title={t("signInTo")} version={info.version}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
        {ended && <Callout tone="info">{t("sessionOver")}</Callout>}
        {refusal && <Callout tone="bad">{refusal}</Callout>}
        <Providers info={info} returnTo={location.pathname === SIGN_IN ? "/" : location.pathname + location.search} />
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
        <Button look="quiet" small className="self-center" onClick={() => setForgot(true)}>
          {t("forgot")}
        </Button>
      </form>
    </Gate>
  );
}

/** A link by mail; where none is sent, who can make one. */
function Forgot({ info, known, onBack }: { info: ConsoleInfo; known: string; onBack: () => void }) {
  const [email, setEmail] = useState(known);
  const [asked, setAsked] = useState("");
  const { busy, submit, problemOf, problem } = useSending(async () => {
    await ask("/api/v1/password:forgot", { email });
    setAsked(email);
  });
  const back = (
    <Button look={asked || !info.mail ? "normal" : "quiet"} onClick={onBack}>
      {t("backToSignIn")}
    </Button>
  );
  if (!info.mail) {
    return (
      <Gate title={t("forgot")} version={info.version}>
        <div className="flex flex-col gap-4">
          <p className="text-sm text-muted">{t("forgotNoMail")}</p>
          <CodeBlock label={t("command")} text={`ironworks password-link ${known || "you@example.com"}`} wrap />
          <p className="text-sm text-muted">{t("forgotHandOver")}</p>
          {back}
        </div>
      </Gate>
    );
  }
  return (
    <Gate title={t("forgot")} version={info.version}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
        {asked ? (
          <Callout tone="ok">{t("forgotAsked", { email: asked })}</Callout>
        ) : (
          <>
            <p className="text-sm text-muted">{t("forgotHint")}</p>
            <Field label={t("email")} problem={problemOf("email")}>
              {(ids) => (
                <Input {...ids} type="email" name="email" autoComplete="username" required autoFocus value={email} onChange={(event) => setEmail(event.target.value)} />
              )}
            </Field>
            {problem && <Callout tone="bad">{problem}</Callout>}
            <Button type="submit" look="primary" busy={busy}>
              {t("sendLink")}
            </Button>
          </>
        )}
        {back}
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
