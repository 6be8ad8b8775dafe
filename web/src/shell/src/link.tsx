/** Where a mailed link leads: an address is verified, an invitation accepted, a forgotten password set anew. */
import { ApiError, ask, pageAddress, refresh, request, signIn, signOut, tell, useQuery, useSession } from "@ironworks/sdk";
import type { ConsoleInfo } from "@ironworks/sdk";
import { Button, Callout, Facts, Field, Icon, Input, PasswordInput, formatTime } from "@ironworks/ui";
import { useEffect, useState } from "react";
import type { ReactNode } from "react";

import { Providers, useSending } from "./entering.tsx";
import { Gate } from "./gate.tsx";
import { LINK_PAGE, finish, leaveWith } from "./links.ts";
import type { MailedLink } from "./links.ts";
import { t } from "./words.ts";

interface Invited {
  scope: string;
  role: string;
  email: string;
  inviter: string;
  expires_at: string;
  known: boolean;
}

export default function LinkPage({ link, info }: { link: MailedLink; info: ConsoleInfo }) {
  switch (link.purpose) {
    case "signup":
      return <VerifyAddress token={link.token} info={info} />;
    case "invitation":
      return <Invitation link={link} info={info} />;
    case "password":
      return <NewPassword token={link.token} info={info} />;
    default:
      return (
        <Gate title={t("linkBroken")} version={info.version}>
          <Ended>{t("linkIncomplete")}</Ended>
        </Gate>
      );
  }
}

/** Nothing more can be done with the link. */
function Ended({ children }: { children: ReactNode }) {
  return (
    <div className="flex flex-col gap-4">
      <Callout tone="bad">{children}</Callout>
      <Button onClick={() => finish("/")}>{t("toSignIn")}</Button>
    </div>
  );
}

function VerifyAddress({ token, info }: { token: string; info: ConsoleInfo }) {
  const [account, setAccount] = useState("");
  const { busy, submit, problem, error } = useSending(async () => {
    setAccount((await ask<{ account: string }>("/api/v1/signup:verify", { token })).account);
  });
  return (
    <Gate title={t(isDead(error) ? "linkBroken" : "verifyTitle")} version={info.version}>
      {isDead(error) ? (
        <Ended>{t("verifyDead")}</Ended>
      ) : (
        <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
          {account ? <Callout tone="ok">{t("verified", { account })}</Callout> : <p className="text-sm text-muted">{t("verifyHint")}</p>}
          {problem && <Callout tone="bad">{problem}</Callout>}
          {account ? (
            <Button look="primary" onClick={() => finish("/")}>
              {t("toSignIn")}
            </Button>
          ) : (
            <Button type="submit" look="primary" busy={busy}>
              {t("verify")}
            </Button>
          )}
        </form>
      )}
    </Gate>
  );
}

function NewPassword({ token, info }: { token: string; info: ConsoleInfo }) {
  const [password, setPassword] = useState("");
  const { busy, submit, problemOf, problem, error } = useSending(async () => {
    const { email } = await ask<{ email: string }>("/api/v1/password:reset", { token, password });
    await signIn(email, password);
    finish("/");
  });
  return (
    <Gate title={t(isDead(error) ? "linkBroken" : "newPasswordTitle")} version={info.version}>
      {isDead(error) ? (
        <Ended>{t("passwordDead")}</Ended>
      ) : (
        <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
          <p className="text-sm text-muted">{t("newPasswordHint")}</p>
          <Field label={t("freshPassword")} hint={t("passwordHint")} problem={problemOf("password")}>
            {(ids) => (
              <PasswordInput {...ids} name="new-password" autoComplete="new-password" required minLength={12} autoFocus value={password} onChange={(event) => setPassword(event.target.value)} />
            )}
          </Field>
          {problem && <Callout tone="bad">{problem}</Callout>}
          <Button type="submit" look="primary" busy={busy}>
            {t("setPassword")}
          </Button>
        </form>
      )}
    </Gate>
  );
}

function Invitation({ link, info }: { link: MailedLink; info: ConsoleInfo }) {
  const session = useSession();
  const inside = session.state === "in";
  const returned = link.back && inside;
  const invited = useQuery({
    queryKey: ["link", link.token],
    queryFn: () => ask<Invited>("/api/v1/invitations:read", { token: link.token }),
    enabled: !returned, // the provider's word accepted it already, or accepts it now
    retry: (count, problem) => !isDead(problem) && count < 3,
    staleTime: Infinity,
  });
  const me = useQuery({ queryKey: ["me"], queryFn: () => request<{ name: string }>("/api/v1/me"), enabled: inside });
  if (returned) return <Accepting token={link.token} info={info} />;
  if (invited.error) {
    return (
      <Gate title={t("linkBroken")} version={info.version}>
        <Ended>{isDead(invited.error) ? t("invitationDead") : tell(invited.error)}</Ended>
      </Gate>
    );
  }
  if (!invited.data || (inside && !me.data)) {
    return (
      <Gate title={t("invitation")} version={info.version}>
        <Icon name="spinner" size={18} className="mx-auto animate-spin text-faint" />
      </Gate>
    );
  }
  const { scope, role, email, inviter, expires_at, known } = invited.data;
  const place = scope === "-" ? t("wholeInstallation") : scope;
  return (
    <Gate title={t("invitedTo", { scope: place })} version={info.version}>
      <div className="flex flex-col gap-4">
        <Facts
          items={[
            { label: t("invitedBy"), value: inviter },
            { label: t("asRole"), value: role.replace(/^-\//, "") },
            { label: t("invitedAs"), value: email },
            { label: t("until"), value: formatTime(new Date(expires_at)) },
          ]}
        />
        {me.data?.name === email ? (
          <Accept token={link.token} />
        ) : (
          <>
            {me.data && <Callout tone="warn">{t("otherSession", { name: me.data.name })}</Callout>}
            {me.data ? (
              <Button look="primary" onClick={() => void signOut()}>
                {t("signOutFirst")}
              </Button>
            ) : (
              <ComeIn invited={invited.data} token={link.token} info={info} known={known} />
            )}
          </>
        )}
      </div>
    </Gate>
  );
}

/** Whoever has no session here: signs in with the address's user, or becomes one. */
function ComeIn({ invited, token, info, known }: { invited: Invited; token: string; info: ConsoleInfo; known: boolean }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const { busy, submit, problemOf, problem } = useSending(async () => {
    if (!known) await ask("/api/v1/invitations:join", { token, password, display_name: name.trim() || null });
    await signIn(invited.email, password);
    if (known) await accept(token);
    else finish(pageAddress(invited.scope, "overview"));
  });
  return (
    <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
      <Providers info={info} returnTo={LINK_PAGE} onLeave={() => leaveWith(token)} />
      <p className="text-sm text-muted">{t(known ? "comeInKnown" : "comeInNew")}</p>
      <input type="hidden" name="email" autoComplete="username" value={invited.email} readOnly />
      {!known && (
        <Field label={t("yourName")} hint={t("yourNameHint")} problem={problemOf("display_name")}>
          {(ids) => <Input {...ids} name="name" autoComplete="name" maxLength={100} value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
      )}
      <Field label={t("password")} hint={known ? undefined : t("passwordHint")} problem={problemOf("password")}>
        {(ids) => (
          <PasswordInput
            {...ids}
            name="password"
            autoComplete={known ? "current-password" : "new-password"}
            required
            {...(!known && { minLength: 12 })}
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        )}
      </Field>
      {problem && <Callout tone="bad">{problem}</Callout>}
      <Button type="submit" look="primary" busy={busy}>
        {t(known ? "signInAccept" : "join")}
      </Button>
    </form>
  );
}

async function accept(token: string): Promise<void> {
  const { scope } = await request<{ scope: string }>("/api/v1/invitations:accept", { method: "POST", body: { token } });
  finish(pageAddress(scope, "overview"));
}

function Accept({ token }: { token: string }) {
  const { busy, submit, problem } = useSending(() => accept(token));
  return (
    <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
      {problem && <Callout tone="bad">{problem}</Callout>}
      <Button type="submit" look="primary" busy={busy}>
        {t("accept")}
      </Button>
    </form>
  );
}

/** Back from a provider's sign-in, which was asked for to accept. */
function Accepting({ token, info }: { token: string; info: ConsoleInfo }) {
  const [problem, setProblem] = useState<unknown>(null);
  useEffect(() => {
    void refresh().then(() => accept(token)).catch(setProblem);
  }, [token]);
  return (
    <Gate title={t("invitation")} version={info.version}>
      {problem === null ? <Icon name="spinner" size={18} className="mx-auto animate-spin text-faint" /> : <Ended>{isDead(problem) ? t("invitationDead") : tell(problem)}</Ended>}
    </Gate>
  );
}

/** The token is refused, and not what was typed beside it. */
const isDead = (error: unknown): boolean => error instanceof ApiError && error.problemOf("token") !== undefined;
