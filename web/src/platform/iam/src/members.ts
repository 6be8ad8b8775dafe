/** Who has a role at a scope, as the API tells it, and what a list of them shows. */
import { levelOf, live } from "@ironworks/sdk";

export interface Assignment {
  /** As `path/name`. */
  assignment: string;
  scope: string;
  role: string;
}

export interface Member {
  subject: string;
  kind: "user" | "service-account";
  display_name: string | null;
  active: boolean;
  assignments: Assignment[];
}

/** One way in which somebody came to a role. */
export interface Given extends Assignment {
  member: Member;
  /** Where it was given, as seen from the page's scope. */
  place: "here" | "above" | "below";
}

export const membersAddress = (scope: string): string => `/api/v1/scopes/${encodeURIComponent(scope)}/members`;

/** `user:ann@example.com` as people read it. */
export const shownSubject = (subject: string): string => subject.slice(subject.indexOf(":") + 1);
/** `-/viewer` as people read it: presets are called by their name alone. */
export const shownRole = (role: string): string => role.replace(/^-\//, "");

/** One line for each assignment: those given here first, then those from above. */
export function linesOf(members: readonly Member[], scope: string, below: boolean): Given[] {
  const lines = members.flatMap((member) =>
    member.assignments.map((assignment): Given => ({
      ...assignment,
      member,
      place: below ? "below" : assignment.scope === scope ? "here" : "above",
    })),
  );
  const rank = { here: 0, above: 1, below: 2 };
  return lines.sort((a, b) => rank[a.place] - rank[b.place] || (a.member.subject < b.member.subject ? -1 : a.member.subject > b.member.subject ? 1 : 0));
}

/** Who writes an address alone means a person; `path/name` is a service account. */
export function subjectFrom(typed: string): string {
  const text = typed.trim();
  if (/^(user|service-account|api-key):/.test(text) || text === "") return text;
  return text.includes("@") ? `user:${text}` : `service-account:${text}`;
}

/** A name for an assignment that says what it does; the end keeps it apart from others. */
export function assignmentName(subject: string, role: string): string {
  const stem = (text: string) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
  const who = stem(shownSubject(subject).split("@")[0]?.split("/").at(-1) ?? "").slice(0, 24);
  const what = stem(role.split("/").at(-1) ?? "").slice(0, 24);
  return [who, what, randomText(5, "abcdefghijkmnpqrstuvwxyz23456789")].filter(Boolean).join("-");
}

/** Letters drawn at random; without those that look alike, for people copy them by hand. */
export function randomText(length: number, letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"): string {
  const drawn: string[] = [];
  const least = 256 - (256 % letters.length); // above it some letters would come more often
  while (drawn.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length))) {
      if (byte < least && drawn.length < length) drawn.push(letters[byte % letters.length] ?? "");
    }
  }
  return drawn.join("");
}

/** Where roles can be made for what lies at `scope`: its account, or the installation. */
export const roleScope = (scope: string): string => (levelOf(scope) === "operator" ? scope : (scope.split(".")[0] ?? scope));

/** Who has access changes with an assignment, a role or a subject, whoever changes it. */
export const liveAccess = (scope: string) => live(scope, "role-assignments", "roles", "users", "service-accounts");
