import { createContext, useContext } from "react";

import type { Option } from "../combobox.tsx";
import type { JsonSchema, Path, Problem } from "./schema.ts";

/** What a kind declares of its fields besides their schema; lists are written `targets[].endpoint`. */
export interface FormHints {
  /** The kind that a field names a resource of. */
  references?: Readonly<Record<string, string>>;
  secrets?: readonly string[];
  immutable?: readonly string[];
}

export interface FormState {
  root: JsonSchema;
  value: unknown;
  /** How it was when the form was opened, so that fields do not move while one types. */
  first: unknown;
  set: (path: Path, next: unknown) => void;
  problems: readonly Problem[];
  hints: FormHints;
  /** There is one already: what never changes is shown only. */
  editing: boolean;
  /** A hook: the resources of a kind that may be named here. */
  useOptions: (kind: string) => readonly Option[];
}

const Current = createContext<FormState | null>(null);
export const FormProvider = Current.Provider;

export function useForm(): FormState {
  const found = useContext(Current);
  if (!found) throw new Error("a field outside of a form");
  return found;
}
