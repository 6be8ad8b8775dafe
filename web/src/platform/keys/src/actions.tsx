/** What can be done to a key: a new secret, a pause, its end. */
import { deleteResource, patchResource, tell, useCan, useRemember } from "@ironworks/sdk";
import { Confirm, Menu, notify } from "@ironworks/ui";
import { useState } from "react";
import type { HTMLAttributes, ReactElement } from "react";

import { PLURAL, issue } from "./types.ts";
import type { Issued, Key } from "./types.ts";
import { t } from "./words.ts";

interface ActionsProps {
  item: Key;
  trigger: ReactElement<HTMLAttributes<HTMLElement>>;
  /** Where it is shown among others, for going to its own page. */
  onDetails?: () => void;
  onIssued: (issued: Issued) => void;
  onRevoked?: () => void;
}

export function Actions({ item, trigger, onDetails, onIssued, onRevoked }: ActionsProps) {
  const can = useCan();
  const remember = useRemember();
  const [asking, setAsking] = useState<"renew" | "revoke" | null>(null);
  const { name, scope: at } = item.metadata;
  const set = async (disabled: boolean) => {
    try {
      remember(PLURAL, await patchResource(PLURAL, at, name, { spec: { disabled } }));
      notify("ok", t(disabled ? "switchedOff" : "switchedOn", { name }), { undo: () => void set(!disabled) });
    } catch (error) {
      notify("bad", tell(error));
    }
  };
  const revoke = async () => {
    await deleteResource(PLURAL, at, name);
    notify("ok", t("revoked", { name }));
    onRevoked?.();
  };
  return (
    <>
      <Menu
        label={t("actions", { name })}
        trigger={trigger}
        groups={[
          ...(onDetails ? [[{ label: t("details"), icon: "info" as const, onSelect: onDetails }]] : []),
          [
            ...(can("api-key:rotate", at) ? [{ label: t("renew"), icon: "refresh" as const, onSelect: () => setAsking("renew") }] : []),
            ...(can("api-key:update", at)
              ? [{ label: t(item.spec.disabled ? "switchOn" : "switchOff"), icon: "stop" as const, onSelect: () => void set(!item.spec.disabled) }]
              : []),
          ],
          can("api-key:delete", at) ? [{ label: t("revoke"), icon: "delete", danger: true, onSelect: () => setAsking("revoke") }] : [],
        ]}
      />
      <Confirm
        open={asking === "renew"}
        onClose={() => setAsking(null)}
        title={t("renewTitle", { name })}
        action={t("renew")}
        onConfirm={() => issue(item).then(onIssued)}
      >
        <p className="text-sm text-muted">{t("renewHint")}</p>
      </Confirm>
      <Confirm open={asking === "revoke"} onClose={() => setAsking(null)} title={t("revokeTitle", { name })} action={t("revoke")} word={name} onConfirm={revoke}>
        <p className="text-sm text-muted">{t("revokeHint")}</p>
      </Confirm>
    </>
  );
}
