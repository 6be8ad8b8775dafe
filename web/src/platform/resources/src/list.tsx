/** One kind's list at a scope and below: its declared columns, phase and age, live. */
import {
  Link, addressOf, fieldOf, kindAddress, levelOf, pageAddress, permissionWord, resourceKey, useCan, useKind, usePlace,
  useQueryWord, useResources, useTable,
} from "@ironworks/sdk";
import type { Kind, Resource } from "@ironworks/sdk";
import { CodeBlock, DataTable, Empty, Page, Phase, Time, buttonClass, cx, marked, words } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useMemo } from "react";

import { groupLabel, groupsOf, useReadableKinds } from "./catalogue.tsx";
import { plain } from "./values.tsx";
import { t } from "./words.ts";

export default function List() {
  const { params } = usePlace();
  const kind = useKind(params["plural"] ?? "");
  if (!kind) return <Empty icon="search" title={t("unknownKind", { plural: params["plural"] ?? "" })} />;
  return <KindList kind={kind} />;
}

function KindList({ kind }: { kind: Kind }) {
  const { scope } = usePlace();
  const can = useCan();
  const [above, setAbove] = useQueryWord("above");
  const list = useResources(kind.plural, scope, { inherited: above === "1" });
  const columns = useMemo(() => columnsOf(kind, list.items, scope), [kind, list.items, scope]);
  const mayCreate = kind.levels.includes(levelOf(scope)) && can(`${permissionWord(kind.name)}:create`, scope);
  const table = useTable(list, (resource) => addressOf(scope, kind.plural, resource));
  return (
    <div className="flex h-full min-h-0">
      <KindRail current={kind.plural} />
      <Page
        fill
        title={words(kind.plural)}
        actions={
          mayCreate && (
            <Link to={pageAddress(scope, "resources", `${kind.plural}/new`)} className={buttonClass("primary")}>
              {t("new", { kind: kind.name })}
            </Link>
          )
        }
      >
        <DataTable
          label={words(kind.plural)}
          {...table}
          columns={columns}
          rowKey={resourceKey}
          empty={<NoneYet kind={kind} mayCreate={mayCreate} scope={scope} />}
          tools={
            kind.inherited &&
            scope !== "-" && (
              <label className="flex h-7 items-center gap-1.5 px-1 text-xs text-muted">
                <input type="checkbox" checked={above === "1"} onChange={(event) => setAbove(event.target.checked ? "1" : "")} className="accent-accent" />
                {t("inherited")}
              </label>
            )
          }
        />
      </Page>
    </div>
  );
}

function columnsOf(kind: Kind, items: readonly Resource[], scope: string): Column<Resource>[] {
  const scopes = [...new Set(items.map((item) => item.metadata.scope))];
  const apart = scopes.some((one) => one !== scope);
  const phases = [...new Set([...kind.phases, ...items.map((item) => item.status.phase)])];
  return [
    { id: "name", label: t("name"), value: (row) => row.metadata.name, width: "minmax(11rem, 1.6fr)" },
    {
      id: "phase", label: t("phase"), value: (row) => row.status.phase, cell: (row) => <Phase phase={row.status.phase} />,
      options: phases, width: "minmax(9rem, 10rem)",
    },
    ...(apart ? [{ id: "scope", label: t("scope"), value: (row: Resource) => row.metadata.scope, width: "minmax(8rem, 1fr)" }] : []),
    ...kind.columns.map((dotted) => declared(dotted, items)),
    {
      id: "age", label: t("age"), value: (row) => Date.parse(row.metadata.creation_timestamp),
      cell: (row) => <Time at={row.metadata.creation_timestamp} />, width: "minmax(6.5rem, 8rem)",
    },
  ];
}

function declared(dotted: string, items: readonly Resource[]): Column<Resource> {
  const numeric = items.length > 0 && items.every((item) => typeof (fieldOf(item, dotted) ?? 0) === "number");
  return {
    id: dotted,
    label: words(columnName(dotted)),
    value: (row) => plain(fieldOf(row, dotted)),
    width: numeric ? "minmax(6.5rem, 8rem)" : "minmax(8rem, 1fr)",
    ...(numeric && { align: "right" as const }),
  };
}

/** `spec.model.name` is told as `model`; `status.ready_replicas` as `ready_replicas`. */
export function columnName(dotted: string): string {
  const steps = dotted.split(".").slice(1);
  const last = steps.at(-1) ?? dotted;
  return steps.length > 1 && ["name", "num", "type"].includes(last) ? (steps.at(-2) ?? last) : last;
}

function NoneYet({ kind, mayCreate, scope }: { kind: Kind; mayCreate: boolean; scope: string }) {
  const here = kind.levels.includes(levelOf(scope));
  const readable = words(kind.plural).toLowerCase();
  return (
    <Empty
      icon="boxes"
      title={t("noneTitle", { plural: readable })}
      actions={
        mayCreate && (
          <Link to={pageAddress(scope, "resources", `${kind.plural}/new`)} className={buttonClass("primary")}>
            {t("new", { kind: kind.name })}
          </Link>
        )
      }
    >
      <p>{marked(kind.description)}</p>
      {mayCreate ? (
        <div className="mt-3 text-left">
          <p className="mb-1.5 text-center text-xs text-faint">{t("noneCreate")}</p>
          <CodeBlock label={t("command")} text={`ironworks apply -f ${kind.name.toLowerCase()}.yaml -s ${scope}`} />
        </div>
      ) : (
        <p className="mt-1 text-faint">{here ? t("noneRead") : t("noneElsewhere", { levels: kind.levels.join(", ") })}</p>
      )}
    </Empty>
  );
}

/** The other kinds, where there is room for them. */
function KindRail({ current }: { current: string }) {
  const { scope } = usePlace();
  const kinds = useReadableKinds();
  return (
    <nav aria-label={t("title")} className="thin-scroll hidden w-52 shrink-0 overflow-y-auto border-r border-line px-2 py-4 xl:block">
      {groupsOf(kinds).map(([name, group]) => (
        <div key={name} className="mb-3">
          <p className="px-2 pb-1 text-2xs font-medium text-faint">{groupLabel(name)}</p>
          <ul>
            {group.map((kind) => (
              <li key={kind.plural}>
                <Link
                  to={kindAddress(scope, kind.plural)}
                  aria-current={kind.plural === current ? "page" : undefined}
                  className={cx(
                    "flex h-7 items-center rounded-md px-2 text-sm",
                    kind.plural === current ? "bg-hover font-medium text-ink" : "text-muted hover:bg-hover hover:text-ink",
                  )}
                >
                  <span className="clip-line">{words(kind.plural)}</span>
                </Link>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}
