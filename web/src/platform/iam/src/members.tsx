/** Who has access at a scope and through what: given here, or reaching down from above; and who was invited. */
import { Link, OPERATOR, deleteResource, createResource, pageAddress, resourceAddress, splitReference, tell, useBootstrap, useCan, useGo, usePages, usePlace, useQueryWord, useTable } from "@ironworks/sdk";
import { Badge, Button, Callout, Choice, Confirm, DataTable, Empty, IconButton, Menu, Page, notify } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useMemo, useState } from "react";

import { AddMember, ChangeRole } from "./add.tsx";
import { Invitations } from "./invitations.tsx";
import { linesOf, membersAddress, shownRole, shownSubject, liveAccess } from "./members.ts";
import type { Given, Member } from "./members.ts";
import { t } from "./words.ts";

export default function Members() {
  const { scope } = usePlace();
  const can = useCan();
  const [view, setView] = useQueryWord("show", "here");
  const below = view === "below";
  const invited = view === "invited";
  const [adding, setAdding] = useState(false);
  const members = usePages<Member, { above: boolean }>(membersAddress(scope), { below: below ? "true" : undefined }, { limit: 500, enabled: !invited, ...liveAccess(scope) });
  const lines = useMemo(() => linesOf(members.items, scope, below), [members.items, scope, below]);
  const columns = useMemo(() => columnsOf(scope, below), [scope, below]);
  const add = can("role-assignment:create", scope) && (
    <Button look="primary" icon="plus" onClick={() => setAdding(true)}>
      {t("add")}
    </Button>
  );
  const table = useTable({ ...members, items: lines }, (line) => accessAddress(scope, line));
  return (
    <Page
      fill
      title={t("title")}
      actions={
        <>
          <Choice
            label={t("view")}
            value={below || invited ? view : "here"}
            onChange={setView}
            options={[
              { value: "here", label: t("viewHere") },
              { value: "below", label: t("viewBelow") },
              { value: "invited", label: t("viewInvited") },
            ]}
          />
          {add}
        </>
      }
    >
      {!invited && members.first?.above && <Callout tone="info">{t("hiddenAbove")}</Callout>}
      {invited ? (
        <Invitations scope={scope} add={add} />
      ) : (
        <DataTable
          label={t("title")}
          {...table}
          columns={columns}
          rowKey={(line) => `${line.member.subject} ${line.assignment}`}
          empty={
            <Empty icon="users" title={t(below ? "noneBelow" : "noneTitle")} actions={!below && add}>
              {t(below ? "noneBelowHint" : "noneHint")}
            </Empty>
          }
        />
      )}
      {adding && <AddMember scope={scope} members={members.items} onClose={() => setAdding(false)} />}
    </Page>
  );
}

const accessAddress = (scope: string, { member, place, scope: at }: Given): string =>
  pageAddress(place === "below" ? at : scope, "members", "access", { subject: member.subject });

function columnsOf(scope: string, below: boolean): Column<Given>[] {
  return [
    {
      id: "who", label: t("who"), width: "minmax(13rem, 2fr)", value: ({ member }) => shownSubject(member.subject),
      cell: ({ member }) => (
        <>
          {shownSubject(member.subject)}
          {member.display_name && <span className="ml-2 font-normal text-faint">{member.display_name}</span>}
        </>
      ),
    },
    {
      id: "kind", label: t("kind"), width: "8.5rem", secondary: true, value: ({ member }) => t(member.kind === "user" ? "person" : "service-account"),
      options: [t("person"), t("service-account")],
    },
    {
      id: "role", label: t("role"), width: "minmax(9rem, 1.2fr)", value: ({ role }) => shownRole(role),
      cell: ({ role }) => {
        const { scope: at, name } = splitReference(role, scope);
        return (
          <Link to={pageAddress(scope, "members", `roles/${at}/${name}`)} className="hover:text-accent hover:underline">
            {shownRole(role)}
          </Link>
        );
      },
    },
    {
      id: "from", label: t("from"), width: "minmax(9rem, 1.2fr)", value: (line) => (below ? line.scope : t(line.place)),
      ...(!below && { options: [t("here"), t("above")] }),
      cell: (line) =>
        line.place === "here" ? (
          <Badge tone="info">{t("here")}</Badge>
        ) : (
          <span className="inline-flex items-center gap-1.5">
            {!below && <Badge>{t("above")}</Badge>}
            <Link to={pageAddress(line.scope, "members")} className="text-xs text-muted hover:text-accent hover:underline">
              {line.scope === OPERATOR ? t("installation") : line.scope}
            </Link>
          </span>
        ),
    },
    { id: "through", label: t("through"), width: "minmax(10rem, 1.2fr)", secondary: true, value: ({ assignment }) => assignment.split("/").at(-1) ?? assignment },
    {
      id: "state", label: t("state"), width: "6.5rem", secondary: true, value: ({ member }) => t(member.active ? "active" : "disabled"),
      cell: ({ member }) => (member.active ? <span className="text-faint">{t("active")}</span> : <Badge tone="warn">{t("disabled")}</Badge>),
    },
    { id: "actions", label: "", width: "3.5rem", value: () => null, cell: (line) => <Actions line={line} scope={scope} /> },
  ];
}

function Actions({ line, scope }: { line: Given; scope: string }) {
  const can = useCan();
  const go = useGo();
  const { caller } = useBootstrap();
  const [asking, setAsking] = useState<"change" | "own" | null>(null);
  const { member, assignment, role, scope: at } = line;
  const who = shownSubject(member.subject);
  const name = assignment.split("/").at(-1) ?? "";
  const own = caller.kind === "user" && caller.name === who;

  const remove = async () => {
    await deleteResource("role-assignments", at, name);
    const undo = () => void giveBack(at, name, member.subject, role);
    notify("ok", t("removed", { who, role: shownRole(role) }), own ? {} : { undo });
  };
  const removeNow = () => void remove().catch((error: unknown) => notify("bad", tell(error)));
  return (
    <>
      <Menu
        label={t("actions", { who })}
        trigger={<IconButton icon="more" label={t("actions", { who })} size="small" />}
        groups={[
          [
            { label: t("why"), icon: "help", onSelect: () => go(accessAddress(scope, line)) },
            { label: t("details"), icon: "info", onSelect: () => go(resourceAddress(scope, "role-assignments", at, name)) },
            ...(at === scope ? [] : [{ label: t("goThere", { scope: at }), icon: "users" as const, onSelect: () => go(pageAddress(at, "members")) }]),
          ],
          can("role-assignment:update", at) ? [{ label: t("change"), icon: "edit", onSelect: () => setAsking("change") }] : [],
          can("role-assignment:delete", at)
            ? [{ label: t("remove"), icon: "delete", danger: true, onSelect: () => (own ? setAsking("own") : removeNow()) }]
            : [],
        ]}
      />
      {asking === "change" && <ChangeRole line={line} onClose={() => setAsking(null)} />}
      <Confirm open={asking === "own"} onClose={() => setAsking(null)} title={t("removeOwnTitle")} action={t("remove")} word={shownRole(role)} onConfirm={remove}>
        <p className="text-sm text-muted">{t("removeOwnHint", { role: shownRole(role), scope: at })}</p>
      </Confirm>
    </>
  );
}

async function giveBack(at: string, name: string, subject: string, role: string): Promise<void> {
  try {
    await createResource("role-assignments", at, { api_version: "v1", kind: "RoleAssignment", metadata: { name }, spec: { subject, role } });
    notify("ok", t("restored", { who: shownSubject(subject), role: shownRole(role) }));
  } catch (error) {
    notify("bad", tell(error));
  }
}
