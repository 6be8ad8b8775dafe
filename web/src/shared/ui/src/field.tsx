import { useId, useState } from "react";
import type { InputHTMLAttributes, ReactNode, SelectHTMLAttributes, TextareaHTMLAttributes } from "react";

import { cx } from "./classes.ts";
import { Icon } from "./icons.tsx";
import { t } from "./words.ts";

const BOX =
  "w-full rounded-md border border-line bg-canvas px-2.5 text-sm text-ink placeholder:text-faint transition-colors " +
  "hover:border-edge focus-visible:border-accent aria-invalid:border-bad disabled:opacity-60";

interface FieldProps {
  label: ReactNode;
  hint?: ReactNode;
  problem?: string | undefined;
  optional?: ReactNode;
  children: (ids: { id: string; "aria-describedby": string | undefined; "aria-invalid": boolean | undefined }) => ReactNode;
}

/** A label, a control, what it is for, and what is wrong with what was entered. */
export function Field({ label, hint, problem, optional, children }: FieldProps) {
  const id = useId();
  const describedBy = problem ? `${id}-problem` : hint ? `${id}-hint` : undefined;
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="text-xs font-medium text-muted">
        {label}
        {optional && <span className="ml-1 font-normal text-faint">{optional}</span>}
      </label>
      {children({ id, "aria-describedby": describedBy, "aria-invalid": problem ? true : undefined })}
      {problem ? (
        <p id={`${id}-problem`} role="alert" className="text-xs text-bad">
          {problem}
        </p>
      ) : (
        hint && (
          <p id={`${id}-hint`} className="text-xs text-faint">
            {hint}
          </p>
        )
      )}
    </div>
  );
}

export const Input = ({ className, ...rest }: InputHTMLAttributes<HTMLInputElement>) => (
  <input {...rest} className={cx(BOX, "h-8", className)} />
);

export const Textarea = ({ className, ...rest }: TextareaHTMLAttributes<HTMLTextAreaElement>) => (
  <textarea {...rest} className={cx(BOX, "thin-scroll py-1.5", className)} />
);

/** The browser's own list of choices: it works with every keyboard, reader and phone. */
export function Select({ className, children, ...rest }: SelectHTMLAttributes<HTMLSelectElement>) {
  return (
    <span className={cx("relative inline-flex", className)}>
      <select {...rest} className={cx(BOX, "h-8 appearance-none pr-7")}>
        {children}
      </select>
      <Icon name="down" size={14} className="pointer-events-none absolute top-2.25 right-2 text-faint" />
    </span>
  );
}

/** A password that can be looked at. */
export function PasswordInput(props: InputHTMLAttributes<HTMLInputElement>) {
  const [shown, setShown] = useState(false);
  return (
    <span className="relative block">
      <Input {...props} type={shown ? "text" : "password"} className="pr-9" />
      <button
        type="button"
        aria-label={shown ? t("hide") : t("show")}
        onClick={() => setShown(!shown)}
        className="absolute top-0.5 right-0.5 inline-flex size-7 items-center justify-center rounded-md text-faint hover:text-ink"
      >
        <Icon name={shown ? "hide" : "show"} size={14} />
      </button>
    </span>
  );
}

interface SwitchProps {
  checked: boolean;
  onChange: (checked: boolean) => void;
  label: ReactNode;
  hint?: ReactNode;
  disabled?: boolean;
}

export function Switch({ checked, onChange, label, hint, disabled }: SwitchProps) {
  const id = useId();
  return (
    <div className="flex items-start justify-between gap-4">
      <label htmlFor={id} className="min-w-0">
        <span className="block text-sm">{label}</span>
        {hint && <span className="block text-xs text-faint">{hint}</span>}
      </label>
      <button
        id={id}
        type="button"
        role="switch"
        aria-checked={checked}
        disabled={disabled}
        onClick={() => onChange(!checked)}
        className={cx(
          "relative mt-0.5 h-5 w-9 shrink-0 rounded-full border transition-colors disabled:opacity-50",
          checked ? "border-accent bg-accent" : "border-edge bg-raised",
        )}
      >
        <span
          className={cx(
            "absolute top-0.5 left-0.5 size-3.5 rounded-full transition-transform",
            checked ? "translate-x-4 bg-accent-ink" : "bg-muted",
          )}
        />
      </button>
    </div>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: readonly { value: T; label: string }[];
  onChange: (value: T) => void;
}

/** A few choices side by side, of which one holds. */
export function Choice<T extends string>({ label, value, options, onChange }: ChoiceProps<T>) {
  return (
    <div role="radiogroup" aria-label={label} className="inline-flex rounded-md border border-line bg-canvas p-0.5">
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          role="radio"
          aria-checked={option.value === value}
          onClick={() => onChange(option.value)}
          className={cx(
            "h-6 rounded-sm px-2.5 text-xs whitespace-nowrap transition-colors",
            option.value === value ? "bg-raised text-ink" : "text-muted hover:text-ink",
          )}
        >
          {option.label}
        </button>
      ))}
    </div>
  );
}
