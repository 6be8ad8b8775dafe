/** Any value of a document, as people read it. */
import { Link, resourceAddress, splitReference } from "@ironworks/sdk";
import type { Kind } from "@ironworks/sdk";
import { Badge, Facts, Time, formatNumber, words } from "@ironworks/ui";
import type { Fact } from "@ironworks/ui";
import type { ReactNode } from "react";

import { t } from "./words.ts";

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/;

/** A value in a cell: short, and sortable as what it is. */
export function plain(value: unknown): string | number | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "number" || typeof value === "string") return value;
  if (typeof value === "boolean") return value ? t("yes") : t("no");
  if (Array.isArray(value)) return value.map((one) => plain(one) ?? "").join(", ");
  return JSON.stringify(value);
}

interface ValueProps {
  value: unknown;
  /** The kind that it names, where it is a reference. */
  kind?: Kind | undefined;
  at?: string;
}

export function Value({ value, kind, at = "-" }: ValueProps): ReactNode {
  if (value === null || value === undefined || value === "") return <span className="text-faint">{t("none")}</span>;
  if (value === "***") return <Badge>{t("secret")}</Badge>;
  if (kind && typeof value === "string") return <Reference reference={value} kind={kind} at={at} />;
  if (typeof value === "string") return MOMENT.test(value) ? <Time at={value} /> : <span className="break-words">{value}</span>;
  if (typeof value === "number") return <span className="nums">{formatNumber(value)}</span>;
  if (typeof value === "boolean") return value ? t("yes") : t("no");
  if (Array.isArray(value)) {
    if (value.length === 0) return <span className="text-faint">{t("none")}</span>;
    if (value.every((one) => typeof one !== "object")) return value.map((one) => plain(one)).join(", ");
    return (
      <ul className="flex flex-col gap-2">
        {value.map((one, index) => (
          <li key={index} className="border-l-2 border-line pl-3">
            <Value value={one} at={at} />
          </li>
        ))}
      </ul>
    );
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return <span className="text-faint">{t("none")}</span>;
  return <Facts items={entries.map(([name, inner]): Fact => ({ key: name, label: words(name), value: <Value value={inner} at={at} /> }))} />;
}

/** A document's part as facts; what is nested stands below, indented. */
export function Tree({ value, references = {}, at, prefix = "" }: { value: Record<string, unknown>; references?: Record<string, Kind | undefined>; at: string; prefix?: string }) {
  const given = Object.entries(value).filter(([, inner]) => !isNothing(inner)); // what was left out is in the YAML
  const flat = given.filter(([, inner]) => !isObject(inner));
  const nested = given.filter((entry): entry is [string, Record<string, unknown>] => isObject(entry[1]));
  if (given.length === 0) return <span className="text-sm text-faint">{t("none")}</span>;
  return (
    <div className="flex flex-col gap-3">
      {flat.length > 0 && (
        <Facts
          items={flat.map(([name, inner]) => ({
            key: name,
            label: words(name),
            value: <Value value={inner} kind={references[prefix + name]} at={at} />,
          }))}
        />
      )}
      {nested.map(([name, inner]) => (
        <div key={name}>
          <h3 className="mb-1 text-xs font-medium text-muted">{words(name)}</h3>
          <div className="border-l-2 border-line pl-3">
            <Tree value={inner} references={references} at={at} prefix={`${prefix}${name}.`} />
          </div>
        </div>
      ))}
    </div>
  );
}

function isNothing(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.values(value).every(isNothing);
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

export function Reference({ reference, kind, at }: { reference: string; kind: Kind; at: string }) {
  const target = splitReference(reference, at);
  return (
    <Link to={resourceAddress(at, kind.plural, target.scope, target.name)} className="text-info hover:underline">
      {reference}
    </Link>
  );
}
