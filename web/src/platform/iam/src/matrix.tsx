/** Permissions as a table: what they are on, down; what may be done, across. To be read, chosen from, or asked about. */
import { Icon, cx, words } from "@ironworks/ui";
import { useMemo, useState } from "react";

import { VERBS, linesOf, verbOf } from "./permissions.ts";
import type { Line } from "./permissions.ts";
import { t } from "./words.ts";

interface MatrixProps {
  label: string;
  all: readonly string[];
  held: ReadonlySet<string>;
  /** With it marks can be set; a permission that the caller lacks can be taken away only. */
  onChange?: (held: Set<string>) => void;
  mayGive?: (permission: string) => boolean;
  /** With it each mark is a question. */
  onAsk?: (permission: string) => void;
  asked?: string;
}

export function Matrix({ label, all, held, onChange, mayGive, onAsk, asked }: MatrixProps) {
  const [text, setText] = useState("");
  const [only, setOnly] = useState(false);
  const lines = useMemo(() => {
    const typed = text.trim().toLowerCase();
    const shown = linesOf(all).filter((line) => !only || everyOf(line).some((permission) => held.has(permission)));
    return typed ? shown.filter((line) => everyOf(line).some((permission) => permission.includes(typed))) : shown;
  }, [all, held, text, only]);
  return (
    <div className="panel flex min-w-0 flex-col">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2 border-b border-line px-3 py-1.5 text-xs text-muted">
        <label className="flex h-7 min-w-44 flex-1 items-center gap-2">
          <Icon name="search" size={13} className="text-faint" />
          <span className="sr-only">{t("filter")}</span>
          <input
            value={text}
            placeholder={t("filter")}
            onChange={(event) => setText(event.target.value)}
            className="w-full bg-transparent text-sm text-ink outline-none placeholder:text-faint"
          />
        </label>
        <label className="flex items-center gap-1.5">
          <input type="checkbox" checked={only} onChange={(event) => setOnly(event.target.checked)} className="accent-(--accent)" />
          {t("onlyChosen")}
        </label>
        <span className="nums text-faint">{t("chosen", { count: held.size })}</span>
      </div>
      <div className="thin-scroll relative overflow-x-auto">
        <table aria-label={label} className="w-full border-collapse text-sm">
          <thead>
            <tr className="border-b border-line text-left text-xs text-muted">
              <th scope="col" className="px-3 py-1.5 font-medium">
                {t("resource")}
              </th>
              {VERBS.map((verb) => (
                <th key={verb} scope="col" className="w-18 px-2 py-1.5 text-center font-medium">
                  {words(verb)}
                </th>
              ))}
              <th scope="col" className="min-w-72 px-3 py-1.5 font-medium">
                {t("others")}
              </th>
            </tr>
          </thead>
          <tbody className="divide-y divide-line">
            {lines.map((line) => (
              <tr key={line.resource} className="hover:bg-hover">
                <th scope="row" className="px-3 py-1 text-left font-medium whitespace-nowrap">
                  <LineHead {...{ line, held }} {...(onChange && { onChange })} {...(mayGive && { mayGive })} />
                </th>
                {line.usual.map((permission, index) => (
                  <td key={VERBS[index]} className="px-2 py-1 text-center">
                    {permission && <Mark {...{ permission, held, onChange, mayGive, onAsk, asked }} />}
                  </td>
                ))}
                <td className="px-3 py-1">
                  <span className="flex flex-wrap gap-x-3 gap-y-1">
                    {line.others.map((permission) => (
                      <Mark key={permission} named {...{ permission, held, onChange, mayGive, onAsk, asked }} />
                    ))}
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {lines.length === 0 && <p className="px-4 py-6 text-center text-sm text-muted">{t("missing")}</p>}
      </div>
    </div>
  );
}

const everyOf = ({ usual, others }: Line): string[] => [...usual.filter((permission) => permission !== null), ...others];

/** The resource; where marks can be set, a press sets all of its line, or takes all away. */
function LineHead({ line, held, onChange, mayGive }: { line: Line; held: ReadonlySet<string>; onChange?: (held: Set<string>) => void; mayGive?: (permission: string) => boolean }) {
  const name = words(line.resource);
  if (!onChange) return name;
  const givable = everyOf(line).filter((permission) => held.has(permission) || mayGive?.(permission) !== false);
  const full = givable.length > 0 && givable.every((permission) => held.has(permission));
  const toggle = () => {
    const next = new Set(held);
    for (const permission of givable) if (full) next.delete(permission);
    else next.add(permission);
    onChange(next);
  };
  return (
    <button type="button" title={t("allOf", { resource: name })} onClick={toggle} className="text-left hover:text-accent">
      {name}
    </button>
  );
}

interface MarkProps {
  permission: string;
  held: ReadonlySet<string>;
  named?: boolean;
  onChange?: ((held: Set<string>) => void) | undefined;
  mayGive?: ((permission: string) => boolean) | undefined;
  onAsk?: ((permission: string) => void) | undefined;
  asked?: string | undefined;
}

function Mark({ permission, held, named, onChange, mayGive, onAsk, asked }: MarkProps) {
  const has = held.has(permission);
  const verb = named ? <span aria-hidden className={cx("text-xs", has ? "text-ink" : "text-faint")}>{words(verbOf(permission))}</span> : null;
  if (onChange) {
    const stuck = !has && mayGive?.(permission) === false;
    const toggle = () => {
      const next = new Set(held);
      if (has) next.delete(permission);
      else next.add(permission);
      onChange(next);
    };
    return (
      <label title={stuck ? t("notYours") : permission} className={cx("inline-flex items-center gap-1.5 align-middle", stuck && "opacity-50")}>
        <input type="checkbox" checked={has} disabled={stuck} onChange={toggle} className="size-3.5 accent-(--accent)" aria-label={permission} />
        {verb}
      </label>
    );
  }
  const sign = has ? <Icon name="check" size={14} className="text-ok" /> : <span aria-hidden className="text-faint">·</span>;
  const said = <span className="sr-only">{`${permission}: ${t(has ? "heldMark" : "notHeldMark")}`}</span>;
  if (!onAsk) {
    return (
      <span title={permission} className="inline-flex items-center gap-1 align-middle">
        {sign}
        {said}
        {verb}
      </span>
    );
  }
  return (
    <button
      type="button"
      title={permission}
      onClick={() => onAsk(permission)}
      className={cx("inline-flex h-6 min-w-6 items-center justify-center gap-1 rounded-md px-1 hover:bg-raised", asked === permission && "bg-accent-soft")}
    >
      {sign}
      {said}
      {verb}
    </button>
  );
}
