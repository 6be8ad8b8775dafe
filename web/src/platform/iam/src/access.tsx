/** Why somebody may do something, or what stands against it; and all that somebody may do at a scope. */
import { pageAddress, request, tell, useQuery, useQueryString, usePages, usePlace, Link } from "@ironworks/sdk";
import { Button, Callout, Combobox, Empty, Field, Input, Page, Skeleton, buttonClass } from "@ironworks/ui";
import { useId, useMemo, useState } from "react";
import type { FormEvent } from "react";

import { Chain } from "./chain.tsx";
import type { Answer } from "./chain.tsx";
import { Matrix } from "./matrix.tsx";
import { membersAddress, shownSubject, subjectFrom, liveAccess } from "./members.ts";
import type { Member } from "./members.ts";
import { useRoles } from "./permissions.ts";
import { t } from "./words.ts";

interface Held {
  subject: string;
  owner: string | null;
  permissions: string[];
}

export default function Access() {
  const { scope } = usePlace();
  const [query, setQuery] = useQueryString();
  const subject = query.get("subject") ?? "";
  const permission = query.get("permission") ?? "";
  const { all } = useRoles(scope);
  const held = useQuery({
    queryKey: ["access", scope, subject, "all"],
    ...liveAccess(scope),
    enabled: subject !== "",
    retry: false,
    queryFn: () => request<Held>(`/api/v1/scopes/${encodeURIComponent(scope)}/access/permissions?${new URLSearchParams({ subject })}`),
  });
  return (
    <Page title={t("access")} meta={<span className="font-mono text-xs text-faint">{scope}</span>}>
      <Question
        key={subject}
        scope={scope}
        subject={subject}
        permission={permission}
        all={all}
        onAsk={(next) => setQuery(next)}
      />
      {subject === "" && (
        <div className="panel">
          <Empty icon="help" title={t("accessEmptyTitle")}>
            {t("accessIntro", { scope })}
          </Empty>
        </div>
      )}
      {held.error && <Callout tone="bad">{tell(held.error)}</Callout>}
      {subject !== "" && permission !== "" && !held.error && <Why scope={scope} subject={subject} permission={permission} />}
      {held.data && (
        <section className="flex min-w-0 flex-col gap-2">
          <h2 className="text-sm font-semibold">{t("mayDo", { who: shownSubject(held.data.subject), scope })}</h2>
          {held.data.permissions.length === 0 && <p className="text-sm text-muted">{t("mayNothing", { who: shownSubject(held.data.subject), scope })}</p>}
          <Marks all={all} held={held.data.permissions} asked={permission} onAsk={(next) => setQuery({ permission: next })} />
        </section>
      )}
      {subject !== "" && held.isPending && <Skeleton className="h-96 w-full" />}
    </Page>
  );
}

function Marks({ all, held, asked, onAsk }: { all: readonly string[]; held: string[]; asked: string; onAsk: (permission: string) => void }) {
  const marked = useMemo(() => new Set(held), [held]);
  return <Matrix label={t("permissions")} all={all} held={marked} onAsk={onAsk} asked={asked} />;
}

interface QuestionProps {
  scope: string;
  subject: string;
  permission: string;
  all: readonly string[];
  onAsk: (query: { subject?: string; permission?: string }) => void;
}

function Question({ scope, subject, permission, all, onAsk }: QuestionProps) {
  const id = useId();
  const [typed, setTyped] = useState(subject.startsWith("user:") ? shownSubject(subject) : subject);
  const members = usePages<Member>(membersAddress(scope), {}, { limit: 500, ...liveAccess(scope) });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onAsk({ subject: subjectFrom(typed) });
  };
  return (
    <form onSubmit={submit} className="panel grid items-start gap-3 p-4 md:grid-cols-[minmax(0,1fr)_minmax(0,1fr)_auto]">
      <Field label={t("subject")} hint={t("subjectHint")}>
        {(ids) => (
          <>
            <Input {...ids} list={`${id}-known`} required autoComplete="off" spellCheck={false} value={typed} onChange={(event) => setTyped(event.target.value)} />
            <datalist id={`${id}-known`}>
              {members.items.map((member) => (
                <option key={member.subject} value={member.kind === "user" ? shownSubject(member.subject) : member.subject} />
              ))}
            </datalist>
          </>
        )}
      </Field>
      <Field label={t("permission")}>
        {(ids) => (
          <Combobox
            {...ids}
            label={t("permission")}
            placeholder={t("anyPermission")}
            value={permission || null}
            options={all.map((one) => ({ value: one, label: one }))}
            onChange={(next) => onAsk({ subject: subjectFrom(typed), permission: next })}
          />
        )}
      </Field>
      <div className="flex gap-2 md:pt-5.5">
        <Button type="submit" look="primary">
          {t("ask")}
        </Button>
        {permission && <Button onClick={() => onAsk({ permission: "" })}>{t("clear")}</Button>}
      </div>
    </form>
  );
}

function Why({ scope, subject, permission }: { scope: string; subject: string; permission: string }) {
  const why = useQuery({
    queryKey: ["access", scope, subject, permission],
    ...liveAccess(scope),
    retry: false,
    queryFn: () => request<Answer>(`/api/v1/scopes/${encodeURIComponent(scope)}/access?${new URLSearchParams({ subject, permission })}`),
  });
  if (why.isPending) return <Skeleton className="h-28 w-full" />;
  if (why.error) return <Callout tone="bad">{tell(why.error)}</Callout>;
  const { allowed, obstacles } = why.data;
  const sentence = { who: shownSubject(why.data.subject), permission, scope };
  return (
    <section aria-label={t("access")} className="flex min-w-0 flex-col gap-3">
      <Callout tone={allowed ? "ok" : "warn"} title={t(allowed ? "yes" : "no", sentence)}>
        {allowed ? (
          t("yesHint")
        ) : (
          <ul aria-label={t("obstacles")} className="list-disc pl-4">
            {obstacles.map((obstacle) => (
              <li key={obstacle}>{t(obstacle)}</li>
            ))}
          </ul>
        )}
      </Callout>
      <Chain answer={why.data} permission={permission} scope={scope} />
      {!allowed && obstacles.length === 1 && obstacles[0] === "no-role" && (
        <div>
          <Link to={pageAddress(scope, "members")} className={buttonClass("normal")}>
            {t("giveIt")}
          </Link>
        </div>
      )}
    </section>
  );
}
