/** Giving somebody a role: a person by the address, invited by mail where nobody has it, or a service account. */
import { ApiError, createResource, patchResource, request, tell, useCan, useResources } from "@ironworks/sdk";
import { Button, Callout, Choice, CodeBlock, Combobox, Dialog, Field, Input, notify } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { invite } from "./invitations.tsx";
import { assignmentName, randomText, shownRole, shownSubject } from "./members.ts";
import type { Given, Member } from "./members.ts";
import { nameOf, useRoles } from "./permissions.ts";
import { t } from "./words.ts";

const PASSWORD_LETTERS = 16;

interface Handed {
  email: string;
  password: string;
}

export function AddMember({ scope, members, onClose }: { scope: string; members: readonly Member[]; onClose: () => void }) {
  const [whom, setWhom] = useState<"user" | "service-account">("user");
  const [email, setEmail] = useState("");
  const [account, setAccount] = useState<string | null>(null);
  const [role, setRole] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [handed, setHanded] = useState<Handed | null>(null);
  const can = useCan();
  const subject = whom === "user" ? `user:${email.trim().toLowerCase()}` : `service-account:${account}`;
  const makes = can("user:create", "-") && can("user:set-password", "-");
  const nobody = whom === "user" && error instanceof ApiError && error.problemOf("spec.subject") !== undefined;
  const hasIt = members.some((member) => member.subject === subject && member.assignments.some((one) => one.scope === scope && one.role === role));

  const give = async () => {
    if (role === null) return;
    await createResource("role-assignments", scope, {
      api_version: "v1", kind: "RoleAssignment", metadata: { name: assignmentName(subject, role) }, spec: { subject, role },
    });
    notify("ok", t("given", { who: shownSubject(subject), role: shownRole(role) }));
  };
  const attempt = async (work: () => Promise<void>) => {
    setBusy(true);
    setError(null);
    try {
      await work();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void attempt(() => give().then(onClose));
  };
  const makeUser = () =>
    attempt(async () => {
      const password = randomText(PASSWORD_LETTERS);
      await createUser(email.trim(), password);
      setHanded({ email: email.trim(), password });
      await give();
    });

  if (handed) return <HandOver handed={handed} onClose={onClose} problem={error} />;
  return (
    <Dialog open onClose={onClose} title={t("addTitle", { scope })}>
      <form className="flex flex-col gap-4" onSubmit={submit}>
        <Choice
          label={t("kind")}
          value={whom}
          onChange={(next) => {
            setWhom(next);
            setError(null);
          }}
          options={[
            { value: "user", label: t("person") },
            { value: "service-account", label: t("service-account") },
          ]}
        />
        {whom === "user" ? (
          <Field label={t("email")} hint={t("emailHint")}>
            {(ids) => (
              <Input {...ids} type="email" required autoFocus value={email} onChange={(event) => { setEmail(event.target.value); setError(null); }} autoComplete="off" />
            )}
          </Field>
        ) : (
          <AccountField scope={scope} value={account} onChange={setAccount} />
        )}
        <RoleField scope={scope} value={role} onChange={setRole} />
        {hasIt && <Callout tone="info">{t("hasIt", { who: shownSubject(subject) })}</Callout>}
        {nobody ? (
          <Callout tone="info" title={t("unknownTitle")}>
            {t(makes ? "unknownOrMake" : "unknownHint")}
          </Callout>
        ) : (
          error !== null && <Callout tone="bad">{tell(error)}</Callout>
        )}
        {nobody ? (
          <>
            <Button look="primary" icon="send" busy={busy} disabled={role === null} onClick={() => void attempt(() => invite(scope, email.trim(), role ?? "").then(onClose))}>
              {t("inviteByMail")}
            </Button>
            {makes && (
              <Button disabled={busy || role === null} onClick={() => void makeUser()}>
                {t("makeUser")}
              </Button>
            )}
          </>
        ) : (
          <Button type="submit" look="primary" busy={busy} disabled={role === null || hasIt || (whom === "service-account" && account === null)}>
            {t("give")}
          </Button>
        )}
      </form>
    </Dialog>
  );
}

/** A user with a first password; one whose password could not be set is taken back. */
async function createUser(email: string, password: string): Promise<void> {
  const stem = email.split("@")[0]?.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "") || "user";
  const name = `${stem.slice(0, 40)}-${randomText(5, "abcdefghijkmnpqrstuvwxyz23456789")}`;
  await createResource("users", "-", { api_version: "v1", kind: "User", metadata: { name }, spec: { email } });
  try {
    await request(`/api/v1/users/${name}:set-password`, { method: "POST", body: { password } });
  } catch (problem) {
    await request(`/api/v1/scopes/-/users/${name}`, { method: "DELETE" });
    throw problem;
  }
}

function HandOver({ handed, problem, onClose }: { handed: Handed; problem: unknown; onClose: () => void }) {
  return (
    <Dialog open onClose={onClose} title={t("handOver", { who: handed.email })}>
      <div className="flex flex-col gap-3">
        {problem !== null && <Callout tone="bad">{tell(problem)}</Callout>}
        <Callout tone="warn">{t("handOverHint")}</Callout>
        <CodeBlock label={t("firstPassword")} text={handed.password} wrap />
        <CodeBlock label={t("signInAt")} text={`${location.origin}/`} wrap />
        <Button look="primary" onClick={onClose}>
          {t("done")}
        </Button>
      </div>
    </Dialog>
  );
}

function AccountField({ scope, value, onChange }: { scope: string; value: string | null; onChange: (value: string) => void }) {
  const { items, loading } = useResources("service-accounts", scope);
  const options = items.map(({ metadata }) => {
    const full = `${metadata.scope}/${metadata.name}`;
    return { value: full, label: full, ...(metadata.display_name && { hint: metadata.display_name }) };
  });
  return (
    <Field label={t("account")} hint={!loading && options.length === 0 ? t("noAccounts") : t("accountHint")}>
      {(ids) => <Combobox {...ids} label={t("account")} placeholder={t("chooseAccount")} value={value} options={options} onChange={onChange} />}
    </Field>
  );
}

function RoleField({ scope, value, onChange }: { scope: string; value: string | null; onChange: (value: string) => void }) {
  const { roles } = useRoles(scope);
  const options = roles.map((role) => ({ value: nameOf(role), label: shownRole(nameOf(role)), hint: role.spec.description }));
  return (
    <Field label={t("role")} hint={roles.find((role) => nameOf(role) === value)?.spec.description || t("roleHint")}>
      {(ids) => <Combobox {...ids} label={t("role")} placeholder={t("chooseRole")} value={value} options={options} onChange={onChange} />}
    </Field>
  );
}

export function ChangeRole({ line, onClose }: { line: Given; onClose: () => void }) {
  const [role, setRole] = useState<string | null>(line.role);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const who = shownSubject(line.member.subject);
  const name = line.assignment.split("/").at(-1) ?? "";
  const set = async (next: string, before: string) => {
    await patchResource("role-assignments", line.scope, name, { spec: { role: next } });
    const undo = () => void set(before, next).catch((error: unknown) => notify("bad", tell(error)));
    notify("ok", t("changed", { who, role: shownRole(next) }), { undo });
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (role === null) return;
    setBusy(true);
    try {
      await set(role, line.role);
      onClose();
    } catch (error) {
      setProblem(tell(error));
      setBusy(false);
    }
  };
  return (
    <Dialog open onClose={onClose} title={t("changeTitle", { who })}>
      <form className="flex flex-col gap-4" onSubmit={(event) => void submit(event)}>
        <RoleField scope={line.scope} value={role} onChange={setRole} />
        {problem && <Callout tone="bad">{problem}</Callout>}
        <Button type="submit" look="primary" busy={busy} disabled={role === line.role}>
          {t("change")}
        </Button>
      </form>
    </Dialog>
  );
}
