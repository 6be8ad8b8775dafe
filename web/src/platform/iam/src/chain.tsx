/** How a permission comes to somebody, drawn from left to right: who, by which assignment, of which role, where. */
import { Link, pageAddress, resourceAddress, splitReference } from "@ironworks/sdk";
import { Icon, cx } from "@ironworks/ui";
import type { IconName } from "@ironworks/ui";
import type { ReactNode } from "react";

import { shownRole, shownSubject } from "./members.ts";
import { t } from "./words.ts";

export type Obstacle =
  | "permission-unknown-or-disabled" | "no-role" | "subject-disabled" | "owner-disabled" | "key-disabled" | "key-expired"
  | "key-leaves-it-out" | "outside-of-the-key" | "key-halted";

interface Giving {
  assignment: string | null;
  scope: string | null;
  role: string | null;
  reaches: boolean;
}

export interface Answer {
  allowed: boolean;
  subject: string;
  owner: string | null;
  assignments: Giving[];
  obstacles: Obstacle[];
}

const ICONS: Record<string, IconName> = { user: "user", "service-account": "cpu", "api-key": "key" };

export function Chain({ answer, permission, scope }: { answer: Answer; permission: string; scope: string }) {
  if (answer.assignments.length === 0) return null;
  return (
    <ol className="flex flex-col gap-2">
      {answer.assignments.map((giving, index) => (
        <li key={giving.assignment ?? index} className={cx("panel thin-scroll overflow-x-auto p-3", !giving.reaches && "opacity-75")}>
          <div className="flex min-w-fit items-stretch gap-1.5">
            <Subject subject={answer.subject} />
            {answer.owner && (
              <>
                <Arrow />
                <Subject subject={answer.owner} hint={t("ownedBy")} />
              </>
            )}
            <Arrow />
            <Steps giving={giving} scope={scope} />
            <Arrow />
            <Step icon="check" head={t("permission")}>
              <span className="font-mono text-xs">{permission}</span>
            </Step>
            <Arrow off={!giving.reaches} />
            <Step icon="building" head={giving.reaches ? t("reaches") : t("scope")}>
              <span className="font-mono text-xs">{giving.reaches ? scope : (giving.scope ?? scope)}</span>
            </Step>
          </div>
          {!giving.reaches && <p className="mt-2 text-xs text-warn">{t("doesNotReach", { scope })}</p>}
        </li>
      ))}
    </ol>
  );
}

/** The assignment and its role; one that may not be seen is told as that. */
function Steps({ giving: { assignment, scope: at, role }, scope }: { giving: Giving; scope: string }) {
  if (assignment === null || at === null || role === null) {
    return (
      <Step icon="hide" head={t("assignment")}>
        <span className="text-muted">{t("hidden")}</span>
      </Step>
    );
  }
  const given = splitReference(assignment, scope);
  const named = splitReference(role, scope);
  return (
    <>
      <Step icon="link" head={`${t("assignment")} · ${at}`}>
        <Link to={resourceAddress(scope, "role-assignments", given.scope, given.name)} className="hover:text-accent hover:underline">
          {given.name}
        </Link>
      </Step>
      <Arrow />
      <Step icon="shield" head={t("role")}>
        <Link to={pageAddress(scope, "members", `roles/${named.scope}/${named.name}`)} className="hover:text-accent hover:underline">
          {shownRole(role)}
        </Link>
      </Step>
    </>
  );
}

const Subject = ({ subject, hint }: { subject: string; hint?: string }) => (
  <Step icon={ICONS[subject.slice(0, subject.indexOf(":"))] ?? "user"} head={hint ?? t("subject")}>
    {shownSubject(subject)}
  </Step>
);

const Step = ({ icon, head, children }: { icon: IconName; head: string; children: ReactNode }) => (
  <div className="flex min-w-28 flex-col gap-0.5 rounded-md border border-line bg-canvas px-2.5 py-1.5">
    <span className="flex items-center gap-1.5 text-2xs whitespace-nowrap text-faint">
      <Icon name={icon} size={12} />
      {head}
    </span>
    <span className="text-sm font-medium whitespace-nowrap">{children}</span>
  </div>
);

const Arrow = ({ off }: { off?: boolean }) => (
  <span aria-hidden className={cx("flex items-center", off ? "text-warn" : "text-faint")}>
    <Icon name={off ? "close" : "right"} size={14} />
  </span>
);
