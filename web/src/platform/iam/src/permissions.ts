/** Permissions as a table of what they are about and what may be done: `endpoint:create` is a mark at endpoint, create. */
import { useBootstrap, useResources } from "@ironworks/sdk";
import type { Bootstrap, Resource } from "@ironworks/sdk";
import { useMemo } from "react";

/** What nearly everything can have done to it, in the order in which people think of it. */
export const VERBS = ["read", "create", "update", "delete"] as const;

export interface Line {
  resource: string;
  /** By the verb; null where there is no such permission. */
  usual: (string | null)[];
  /** Permissions with verbs of their own. */
  others: string[];
}

export const resourceOf = (permission: string): string => permission.slice(0, permission.indexOf(":"));
export const verbOf = (permission: string): string => permission.slice(permission.indexOf(":") + 1);

/** One line for each resource, by name. */
export function linesOf(permissions: readonly string[]): Line[] {
  const byResource = new Map<string, string[]>();
  for (const permission of new Set(permissions)) {
    const own = byResource.get(resourceOf(permission)) ?? [];
    own.push(permission);
    byResource.set(resourceOf(permission), own);
  }
  return [...byResource]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([resource, own]) => ({
      resource,
      usual: VERBS.map((verb) => own.find((permission) => verbOf(permission) === verb) ?? null),
      others: own.filter((permission) => !(VERBS as readonly string[]).includes(verbOf(permission))).sort(),
    }));
}

export type Role = Resource<{ permissions: string[]; description: string }, { preset: boolean }>;

/** `-/viewer`, as assignments name it. */
export const nameOf = ({ metadata }: Role): string => `${metadata.scope}/${metadata.name}`;

/** Every permission that somebody here has heard of: those of the roles that can be seen, and the caller's own. */
export function everyPermission(roles: readonly Role[], { permissions }: Bootstrap): string[] {
  const found = new Set(Object.keys(permissions));
  for (const role of roles) for (const permission of role.spec.permissions) found.add(permission);
  return [...found].sort();
}

export function useRoles(scope: string) {
  const bootstrap = useBootstrap();
  const { items: roles, loading, error } = useResources<Role>("roles", scope, { inherited: true });
  const all = useMemo(() => everyPermission(roles, bootstrap), [roles, bootstrap]);
  return { roles, all, loading, error };
}

/** What changes from one list to another. */
export const difference = (before: readonly string[], after: readonly string[]): { added: string[]; removed: string[] } => ({
  added: after.filter((one) => !before.includes(one)).sort(),
  removed: before.filter((one) => !after.includes(one)).sort(),
});
