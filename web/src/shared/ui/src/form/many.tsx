/** Lists and maps: rows of single values, or cards of objects; each can be moved, taken out, added. */
import { useState } from "react";
import type { ReactNode } from "react";

import { Button, IconButton } from "../button.tsx";
import { Input } from "../field.tsx";
import { words } from "../format.ts";
import { t } from "./words.ts";
import { useForm } from "./context.ts";
import { Control } from "./controls.tsx";
import { fieldName, problemsAt, sampleOf, shapeOf, valueAt } from "./schema.ts";
import type { Path, Shape } from "./schema.ts";
import { Fields, Group } from "./schema-form.tsx";
import type { NodeProps } from "./schema-form.tsx";

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

export function ListOf(props: NodeProps) {
  const form = useForm();
  const { shape, path, label, hint, disabled } = props;
  if (shape.type !== "list") return null;
  const item = shapeOf(shape.item, form.root);
  const problem = problemsAt(form.problems, fieldName(path));
  if (item.type === "choice") return <SetOf {...props} options={item.options} problem={problem} />;
  const held = valueAt(form.value, path) ?? shape.default;
  const items = Array.isArray(held) ? (held as unknown[]) : [];
  const replace = (next: unknown[]) => form.set(path, next);
  const begin = item.type === "text" ? "" : item.type === "number" ? null : sampleOf(shape.item, form.root);
  const given = Array.isArray(valueAt(form.value, path));
  const actions = !disabled && (
    <>
      {shape.nullable && given && <IconButton icon="close" size="small" label={t("leaveOut", { field: label })} onClick={() => form.set(path, undefined)} />}
      {(shape.most === null || items.length < shape.most) && <AddButton onClick={() => replace([...items, begin])} />}
    </>
  );
  return (
    <Group label={label} hint={hint} problem={problem} action={actions}>
      {/* an empty one says something else than none, where it may be left out */}
      {shape.nullable && given && items.length === 0 && <p className="text-xs text-warn">{t("emptyList")}</p>}
      {items.length > 0 &&
        items.map((one, index) => (
          <Item
            // elements have no identity of their own, and their fields hold no state that would move wrongly
            key={index}
            title={titleOf(one, label, index)}
            actions={
              !disabled && (
                <>
                  {index > 0 && <IconButton size="small" icon="up" label={t("moveUp")} onClick={() => replace(swapped(items, index))} />}
                  <IconButton
                    size="small"
                    icon="close"
                    label={t("remove", { item: titleOf(one, label, index) })}
                    disabled={items.length <= shape.least}
                    onClick={() => replace(items.filter((_, other) => other !== index))}
                  />
                </>
              )
            }
            item={item}
            path={[...path, index]}
            disabled={disabled}
          />
        ))}
    </Group>
  );
}

function swapped(items: unknown[], index: number): unknown[] {
  const copy = [...items];
  [copy[index - 1], copy[index]] = [copy[index], copy[index - 1]];
  return copy;
}

const TITLES = ["name", "version", "model", "endpoint", "external"];

function titleOf(value: unknown, label: string, index: number): string {
  const named = isRecord(value) ? TITLES.map((name) => value[name]).find((one) => typeof one === "string" && one !== "") : undefined;
  return typeof named === "string" ? named : `${label.replace(/ies$/, "y").replace(/s$/, "")} ${index + 1}`;
}

export function MapOf({ shape, path, label, hint, disabled }: NodeProps) {
  const form = useForm();
  const [fresh, setFresh] = useState("");
  if (shape.type !== "map") return null;
  const item = shapeOf(shape.item, form.root);
  const held = valueAt(form.value, path) ?? shape.default;
  const entries = isRecord(held) ? Object.entries(held) : [];
  const replace = (next: [string, unknown][]) => form.set(path, Object.fromEntries(next));
  const add = () => {
    const key = fresh.trim();
    if (!key || entries.some(([known]) => known === key)) return;
    replace([...entries, [key, sampleOf(shape.item, form.root)]]);
    setFresh("");
  };
  return (
    <Group label={label} hint={hint} problem={problemsAt(form.problems, fieldName(path), item.type !== "object")}>
      {entries.map(([key]) => (
        <Item
          key={key}
          title={key}
          named
          actions={!disabled && <IconButton size="small" icon="close" label={t("remove", { item: key })} onClick={() => replace(entries.filter(([other]) => other !== key))} />}
          item={item}
          path={[...path, key]}
          disabled={disabled}
        />
      ))}
      {!disabled && (
        <div className="flex gap-1">
          <Input
            aria-label={t("newKey", { field: label })}
            placeholder={t("newKeyName")}
            className="max-w-64 font-mono text-xs"
            spellCheck={false}
            value={fresh}
            onChange={(event) => setFresh(event.target.value)}
            onKeyDown={(event) => {
              if (event.key !== "Enter") return;
              event.preventDefault();
              add();
            }}
          />
          <Button icon="plus" disabled={!fresh.trim()} onClick={add}>
            {t("add")}
          </Button>
        </div>
      )}
    </Group>
  );
}

interface ItemProps {
  title: string;
  named?: boolean;
  actions: ReactNode;
  item: Shape;
  path: Path;
  disabled: boolean;
}

/** One element: a card where it has fields, else a row. */
function Item({ title, named, actions, item, path, disabled }: ItemProps) {
  const { problems } = useForm();
  const problem = problemsAt(problems, fieldName(path), item.type !== "object");
  const told = problem && (
    <p role="alert" className="text-xs whitespace-pre-wrap text-bad">
      {problem}
    </p>
  );
  if (item.type === "object") {
    return (
      <div role="group" aria-label={title} className="flex flex-col gap-3 rounded-md border border-line p-3">
        <div className="flex items-center gap-1">
          <p className="clip-line min-w-0 flex-1 text-sm font-medium">{title}</p>
          {actions}
        </div>
        {told}
        <Fields fields={item.fields} path={path} />
      </div>
    );
  }
  return (
    <div className="flex flex-col gap-1">
      <div className="flex items-center gap-1">
        {named && <span className="clip-line w-40 shrink-0 font-mono text-xs @xl:w-56">{title}</span>}
        <div className="min-w-0 flex-1">
          <Control shape={item} path={path} label={title} required disabled={disabled} ids={{ id: `field-${fieldName(path)}`, "aria-label": title, "aria-invalid": problem ? true : undefined }} />
        </div>
        {actions}
      </div>
      {told}
    </div>
  );
}

interface SetProps extends NodeProps {
  options: (string | number)[];
  problem: string | undefined;
}

/** Any of a few words. */
function SetOf({ shape, path, label, hint, disabled, options, problem }: SetProps) {
  const form = useForm();
  const held = valueAt(form.value, path) ?? shape.default;
  const chosen = Array.isArray(held) ? (held as unknown[]) : [];
  return (
    <Group label={label} hint={hint} problem={problem}>
      <div className="flex flex-wrap gap-x-4 gap-y-1">
        {options.map((option) => (
          <label key={option} className="flex items-center gap-1.5 text-sm">
            <input
              type="checkbox"
              className="accent-accent"
              disabled={disabled}
              checked={chosen.includes(option)}
              onChange={(event) => form.set(path, event.target.checked ? options.filter((one) => one === option || chosen.includes(one)) : chosen.filter((one) => one !== option))}
            />
            {typeof option === "string" ? words(option) : option}
          </label>
        ))}
      </div>
    </Group>
  );
}

const AddButton = ({ onClick }: { onClick: () => void }) => (
  <Button small icon="plus" onClick={onClick}>
    {t("add")}
  </Button>
);
