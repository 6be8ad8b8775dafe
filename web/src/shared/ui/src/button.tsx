import type { ButtonHTMLAttributes, ReactNode } from "react";

import { cx } from "./classes.ts";
import { Icon } from "./icons.tsx";
import type { IconName } from "./icons.tsx";
import { Tip } from "./tooltip.tsx";

export type ButtonLook = "primary" | "normal" | "quiet" | "danger";

const LOOKS: Record<ButtonLook, string> = {
  primary: "bg-accent text-accent-ink hover:brightness-110 border-transparent font-medium",
  normal: "bg-panel text-ink border-line hover:bg-hover",
  quiet: "bg-transparent text-muted border-transparent hover:bg-hover hover:text-ink",
  danger: "bg-bad-soft text-bad border-transparent hover:brightness-110 font-medium",
};

export const buttonClass = (look: ButtonLook, small = false) =>
  cx(
    "inline-flex items-center justify-center gap-1.5 rounded-md border whitespace-nowrap transition-colors select-none",
    "disabled:opacity-50",
    small ? "h-6 px-2 text-xs" : "h-8 px-3 text-sm",
    LOOKS[look],
  );

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: ButtonLook;
  small?: boolean;
  icon?: IconName;
  busy?: boolean;
  children?: ReactNode;
}

/** A button; while `busy` it turns and cannot be pressed again. */
export function Button({ look = "normal", small, icon, busy, children, className, disabled, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      className={cx(buttonClass(look, small), className)}
    >
      {busy ? <Icon name="spinner" size={14} className="animate-spin" /> : icon && <Icon name={icon} size={14} />}
      {children}
    </button>
  );
}

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  icon: IconName;
  label: string;
  keys?: string;
  size?: "normal" | "small" | "tiny";
}

const SIZES = { normal: "size-8 [@media(pointer:coarse)]:size-10", small: "size-7", tiny: "size-5" };

/** A button that is only a picture; `label` is its name and its tooltip. */
export function IconButton({ icon, label, keys, size = "normal", className, ...rest }: IconButtonProps) {
  return (
    <Tip text={label} keys={keys}>
      <button
        type="button"
        aria-label={label}
        {...rest}
        className={cx(
          "inline-flex shrink-0 items-center justify-center rounded-md text-muted transition-colors",
          "hover:bg-hover hover:text-ink disabled:opacity-50",
          SIZES[size],
          className,
        )}
      >
        <Icon name={icon} size={size === "tiny" ? 13 : 15} />
      </button>
    </Tip>
  );
}
