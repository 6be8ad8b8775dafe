/**
 * A form made from a JSON schema. It writes into one document that the page keeps, so that the same document can be
 * shown as YAML beside it; what the API finds wrong stands beside its field.
 */
import { useMemo, useState } from "react";
import type { ReactNode } from "react";

import { Button, IconButton } from "../button.tsx";
import { marked } from "../code.tsx";
import type { Option } from "../combobox.tsx";
import { Field, Switch } from "../field.tsx";
import { Callout } from "../layout.tsx";
import { t } from "./words.ts";
import { FormProvider, useForm } from "./context.ts";
import type { FormHints } from "./context.ts";
import { Control } from "./controls.tsx";
import { ListOf, MapOf } from "./many.tsx";
import { beginningOf, declaredName, fieldName, hasPlace, problemsAt, shapeOf, tellProblem, valueAt, withValue } from "./schema.ts";
import type { FieldSchema, JsonSchema, Path, Problem, Shape } from "./schema.ts";
import { labelOf } from "./units.ts";

interface SchemaFormProps {
  schema: JsonSchema;
  value: unknown;
  onChange: (value: unknown) => void;
  problems?: readonly Problem[];
  hints?: FormHints;
  editing?: boolean;
  /** A hook: the resources of a kind that may be named here. */
  useOptions?: (kind: string) => readonly Option[];
  /** Fields, by their names from the root, that the page shows itself or leaves out. */
  without?: readonly string[];
}

const NO_PROBLEMS: readonly Problem[] = [];
const NO_HINTS: FormHints = {};
const useNoOptions = (): readonly Option[] => [];

export function SchemaForm(props: SchemaFormProps) {
  const { schema, value, onChange, problems = NO_PROBLEMS, hints = NO_HINTS, editing = false, useOptions = useNoOptions, without = [] } = props;
  const [first] = useState(value);
  const state = useMemo(
    () => ({ root: schema, value, first, problems, hints, editing, useOptions, set: (path: Path, next: unknown) => onChange(withValue(value, path, next)) }),
    [schema, value, first, problems, hints, editing, useOptions, onChange],
  );
  const placeless = problems.filter(({ field }) => !hasPlace(schema, schema, field));
  const shape = shapeOf(schema, schema);
  return (
    <FormProvider value={state}>
      <div className="flex min-w-0 flex-col gap-4">
        {placeless.length > 0 && (
          <Callout tone="bad">
            {placeless.map((one) => (
              <p key={one.field + one.problem}>{one.field ? `${one.field}: ${tellProblem(one)}` : tellProblem(one)}</p>
            ))}
          </Callout>
        )}
        {shape.type === "object" && <Fields fields={shape.fields.filter((field) => !without.includes(field.name))} path={[]} />}
      </div>
    </FormProvider>
  );
}

const FEW = 6;
const MANY: ReadonlySet<string> = new Set(["object", "list", "map"]);

/** The fields of an object; where there are many, those that may be left out, and were, wait behind a line. */
export function Fields({ fields, path }: { fields: readonly FieldSchema[]; path: Path }) {
  const { root, first, problems } = useForm();
  const [main, rest] = useMemo(() => {
    const shown = new Set(fields.filter((field) => field.required || wasGiven(valueAt(first, [...path, field.name]), shapeOf(field.schema, root))));
    for (const field of fields) if (shown.size < FEW && !MANY.has(shapeOf(field.schema, root).type)) shown.add(field);
    if (fields.length - shown.size <= 1) return [fields, []];
    return [fields.filter((field) => shown.has(field)), fields.filter((field) => !shown.has(field))];
    // the path names the same object for as long as this is shown
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [fields.length, first, root]);
  const wrong = rest.some((field) => problemsAt(problems, fieldName([...path, field.name]), true));
  return (
    <>
      <FieldGrid fields={main} path={path} />
      {rest.length > 0 && (
        <details className="group" {...(wrong && { open: true })}>
          <summary className="w-fit rounded-md text-xs text-muted hover:text-ink">{t("moreFields", { count: rest.length })}</summary>
          <div className="mt-3">
            <FieldGrid fields={rest} path={path} />
          </div>
        </details>
      )}
    </>
  );
}

function wasGiven(value: unknown, shape: Shape): boolean {
  if (value === undefined || value === null) return false;
  if (shape.default !== undefined) return JSON.stringify(value) !== JSON.stringify(shape.default);
  return typeof value !== "object" || Object.keys(value).length > 0;
}

const FieldGrid = ({ fields, path }: { fields: readonly FieldSchema[]; path: Path }) => (
  <div className="@container">
    <div className="grid items-start gap-x-4 gap-y-4 @xl:grid-cols-2">
      {fields.map((field) => (
        <Node key={field.name} field={field} path={[...path, field.name]} />
      ))}
    </div>
  </div>
);

/** One field, by what it is. */
function Node({ field, path }: { field: FieldSchema; path: Path }) {
  const { root, hints, editing } = useForm();
  const shape = shapeOf(field.schema, root);
  const fixed = hints.immutable?.includes(declaredName(path)) ?? false;
  const props = { shape, path, label: labelOf(field.name), required: field.required && !shape.nullable, disabled: fixed && editing };
  const hint = marked([shape.description, fixed && t(editing ? "neverChanges" : "willNotChange")].filter(Boolean).join(" "));
  switch (shape.type) {
    case "object":
      return <ObjectNode {...props} hint={hint} />;
    case "list":
      return <ListOf {...props} hint={hint} />;
    case "map":
      return <MapOf {...props} hint={hint} />;
    case "boolean":
      return <BooleanNode {...props} hint={hint} />;
    default:
      return <LeafNode {...props} hint={hint} />;
  }
}

export interface NodeProps {
  shape: Shape;
  path: Path;
  label: string;
  required: boolean;
  disabled: boolean;
  hint: ReactNode;
}

function LeafNode({ hint, ...props }: NodeProps) {
  const { problems } = useForm();
  const { shape, required } = props;
  const unset = !required && (shape.default === undefined || shape.default === null);
  return (
    <Field label={props.label} hint={hint} problem={problemsAt(problems, fieldName(props.path), true)} optional={unset && t("optional")}>
      {(ids) => <Control {...props} ids={ids} />}
    </Field>
  );
}

function BooleanNode({ shape, path, label, disabled, hint }: NodeProps) {
  const { value, set, problems } = useForm();
  const held = valueAt(value, path) ?? shape.default;
  const problem = problemsAt(problems, fieldName(path));
  return (
    <div className="pt-4">
      <Switch checked={held === true} disabled={disabled} onChange={(next) => set(path, next)} label={label} hint={hint} />
      {problem && <p className="text-xs text-bad">{problem}</p>}
    </div>
  );
}

/** What belongs together, indented; where it may be left out as a whole, it is added first. */
function ObjectNode({ shape, path, label, required, disabled, hint }: NodeProps) {
  const form = useForm();
  if (shape.type !== "object") return null;
  const held = valueAt(form.value, path);
  const there = !shape.nullable || (held !== undefined && held !== null);
  return (
    <Group
      label={label}
      hint={hint}
      problem={problemsAt(form.problems, fieldName(path))}
      action={
        shape.nullable &&
        !disabled &&
        (there ? (
          <IconButton icon="close" size="small" label={t("leaveOut", { field: label })} onClick={() => form.set(path, required ? null : undefined)} />
        ) : (
          <Button small icon="plus" onClick={() => form.set(path, beginningOf(shape.fields, form.root))}>
            {t("add")}
          </Button>
        ))
      }
    >
      {there && <Fields fields={shape.fields} path={path} />}
    </Group>
  );
}

interface GroupProps {
  label: string;
  hint?: ReactNode;
  problem?: string | undefined;
  action?: ReactNode;
  children?: ReactNode;
}

/** A part of a form that holds several fields; it takes the whole width. */
export const Group = ({ label, hint, problem, action, children }: GroupProps) => (
  <fieldset className="relative col-span-full flex min-w-0 flex-col gap-2">
    <legend className="sr-only">{label}</legend>
    <div className="flex min-h-7 items-center gap-2">
      <div className="min-w-0">
        <p aria-hidden className="text-sm font-medium">
          {label}
        </p>
        {hint && <p className="text-xs text-faint">{hint}</p>}
      </div>
      {action && <div className="ml-auto flex shrink-0 gap-1">{action}</div>}
    </div>
    {problem && (
      <p role="alert" className="text-xs whitespace-pre-wrap text-bad">
        {problem}
      </p>
    )}
    {children && <div className="flex min-w-0 flex-col gap-3 border-l-2 border-line pl-3">{children}</div>}
  </fieldset>
);
