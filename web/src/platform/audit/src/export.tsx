/** The records that the filters leave, as a file: read page by page, so that it does not end where the list does. */
import { request, tell } from "@ironworks/sdk";
import { Button, Menu, csvOf, notify, saveFile } from "@ironworks/ui";
import { useState } from "react";

import { toLines, toTable, trailAddress } from "./records.ts";
import type { AuditRecord } from "./records.ts";
import { t } from "./words.ts";

const PAGE = 500;
const MOST = 50_000;

type Query = Record<string, string | undefined>;

export function ExportMenu({ scope, query }: { scope: string; query: Query }) {
  const [read, setRead] = useState<number | null>(null);
  const save = async (format: "csv" | "jsonl") => {
    setRead(0);
    try {
      const { records, more } = await readAll(scope, query, setRead);
      const name = `audit-${scope === "-" ? "installation" : scope}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.${format}`;
      if (format === "csv") saveFile(name, csvOf(toTable(records)));
      else saveFile(name, toLines(records), "application/jsonl");
      notify("ok", t(more ? "exportCapped" : "exported", { count: records.length, name }));
    } catch (error) {
      notify("bad", tell(error));
    } finally {
      setRead(null);
    }
  };
  return (
    <Menu
      label={t("export")}
      trigger={
        <Button icon="download" busy={read !== null}>
          {read === null ? t("export") : t("exporting", { count: read })}
        </Button>
      }
      groups={[
        [
          { label: t("csv"), icon: "grid", onSelect: () => void save("csv") },
          { label: t("jsonl"), icon: "file", onSelect: () => void save("jsonl") },
        ],
      ]}
    />
  );
}

async function readAll(scope: string, query: Query, onRead: (count: number) => void): Promise<{ records: AuditRecord[]; more: boolean }> {
  const records: AuditRecord[] = [];
  let cursor: string | null = null;
  do {
    const given = Object.entries({ ...query, limit: String(PAGE), cursor: cursor ?? undefined }).filter((entry): entry is [string, string] => Boolean(entry[1]));
    const page: { items: AuditRecord[]; next_cursor: string | null } = await request(`${trailAddress(scope)}?${new URLSearchParams(given)}`);
    records.push(...page.items);
    cursor = page.next_cursor;
    onRead(records.length);
  } while (cursor !== null && records.length < MOST);
  return { records, more: cursor !== null };
}
