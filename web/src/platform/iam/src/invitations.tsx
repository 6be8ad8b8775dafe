/** Who was invited to a role here and has not come yet. */
import { live, request, tell, useBootstrap, useCan, usePages, useTable } from "@ironworks/sdk";
import { Badge, Callout, DataTable, Empty, IconButton, Menu, Time, notify } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useMemo } from "react";
import type { ReactNode } from "react";

import { shownRole } from "./members.ts";
import { t } from "./words.ts";

interface Invitation {
  uid: string;
  email: string;
  scope: string;
  role: string;
  inviter: string;
  created_at: string;
  sent_at: string | null;
  expires_at: string | null;
  state: "waiting" | "expired" | "lapsed";
}

const addressOf = (scope: string): string => `/api/v1/scopes/${encodeURIComponent(scope)}/invitations`;

/** Mails an invitation, or the same one again. Raises ApiError. */
export async function invite(scope: string, email: string, role: string): Promise<void> {
  await request(addressOf(scope), { method: "POST", body: { email, role } });
  notify("ok", t("invited", { who: email, role: shownRole(role) }));
}

export function Invitations({ scope, add }: { scope: string; add: ReactNode }) {
  const { mail } = useBootstrap();
  const table = useTable(usePages<Invitation>(addressOf(scope), {}, { limit: 200, ...live(scope, "invitations") }));
  const columns = useMemo(() => columnsOf(scope), [scope]);
  return (
    <>
      {!mail && <Callout tone="info">{t("noMail")}</Callout>}
      <DataTable
        label={t("invitations")}
        {...table}
        columns={columns}
        rowKey={(one) => one.uid}
        empty={
          <Empty icon="users" title={t("noInvitations")} actions={add}>
            {t("noInvitationsHint")}
          </Empty>
        }
      />
    </>
  );
}

const TONES = { waiting: "info", expired: "warn", lapsed: "bad" } as const;

const columnsOf = (scope: string): Column<Invitation>[] => [
  { id: "who", label: t("who"), width: "minmax(10rem, 2fr)", value: ({ email }) => email },
  { id: "role", label: t("role"), width: "minmax(6rem, 1fr)", value: ({ role }) => shownRole(role) },
  {
    id: "state", label: t("state"), width: "7rem", secondary: true, value: ({ state }) => t(state), options: [t("waiting"), t("expired"), t("lapsed")],
    cell: ({ state }) => <Badge tone={TONES[state]}>{t(state)}</Badge>,
  },
  { id: "inviter", label: t("inviter"), width: "minmax(10rem, 1.2fr)", secondary: true, value: ({ inviter }) => inviter },
  {
    id: "sent", label: t("sent"), width: "8rem", secondary: true, value: ({ sent_at }) => sent_at ?? "",
    cell: ({ sent_at }) => (sent_at ? <Time at={sent_at} /> : <span className="text-faint">{t("onItsWay")}</span>),
  },
  {
    id: "until", label: t("goodUntil"), width: "8rem", secondary: true, value: ({ expires_at }) => expires_at ?? "",
    cell: ({ expires_at }) => (expires_at ? <Time at={expires_at} /> : <span className="text-faint">–</span>),
  },
  { id: "actions", label: "", width: "3.5rem", value: () => null, cell: (one) => <Actions one={one} scope={scope} /> },
];

function Actions({ one, scope }: { one: Invitation; scope: string }) {
  const can = useCan();
  const attempt = (work: () => Promise<void>) => void work().catch((error: unknown) => notify("bad", tell(error)));
  const again = () => invite(scope, one.email, one.role);
  const revoke = async () => {
    await request(`${addressOf(scope)}/${one.uid}`, { method: "DELETE" });
    notify("ok", t("revoked", { who: one.email }), { undo: () => attempt(again) });
  };
  return (
    <Menu
      label={t("actions", { who: one.email })}
      trigger={<IconButton icon="more" label={t("actions", { who: one.email })} size="small" />}
      groups={[
        can("role-assignment:create", scope) ? [{ label: t("sendAgain"), icon: "send", onSelect: () => attempt(again) }] : [],
        can("role-assignment:delete", scope) ? [{ label: t("revoke"), icon: "delete", danger: true, onSelect: () => attempt(revoke) }] : [],
      ]}
    />
  );
}
