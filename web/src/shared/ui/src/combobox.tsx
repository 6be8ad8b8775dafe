import * as Popover from "@radix-ui/react-popover";
import { useId, useMemo, useState } from "react";
import type { KeyboardEvent, ReactNode } from "react";

import { cx } from "./classes.ts";
import { Icon } from "./icons.tsx";
import { rank } from "./search.ts";
import { useWithin } from "./within.ts";
import { t } from "./words.ts";

export interface Option {
  value: string;
  label: string;
  hint?: string;
  /** How far it is indented, in a tree. */
  depth?: number;
}

interface ComboboxProps {
  label: string;
  value: string | null;
  options: readonly Option[];
  onChange: (value: string) => void;
  placeholder?: string;
  id?: string;
  disabled?: boolean;
  children?: ReactNode;
  className?: string;
  /** What is typed may be chosen too, whether or not it is listed. */
  free?: boolean;
}

/** One of many, found by typing. Up, down and Enter choose; what was typed needs not be in one piece. */
export function Combobox({ label, value, options, onChange, placeholder, id, disabled, children, className, free }: ComboboxProps) {
  const [open, setOpen] = useState(false);
  const chosen = options.find((option) => option.value === value);
  const container = useWithin();
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger asChild>
        <button
          id={id}
          type="button"
          disabled={disabled}
          aria-label={chosen ? `${label}: ${chosen.label}` : label}
          className={cx(
            "flex h-8 w-full min-w-0 items-center justify-between gap-2 rounded-md border border-line bg-canvas px-2.5",
            "text-left text-sm hover:border-edge disabled:opacity-60",
            className,
          )}
        >
          {children ?? (
            <span className={cx("clip-line", !chosen && "text-faint")}>{chosen?.label ?? placeholder ?? label}</span>
          )}
          <Icon name="updown" size={13} className="text-faint" />
        </button>
      </Popover.Trigger>
      <Popover.Portal container={container}>
        <Popover.Content
          align="start"
          sideOffset={4}
          collisionPadding={8}
          aria-label={label}
          className="z-40 w-(--radix-popover-trigger-width) min-w-64 animate-appear rounded-lg border border-line bg-panel shadow-pop"
        >
          <OptionList
            label={label}
            value={value}
            options={options}
            free={free ?? false}
            onChoose={(next) => {
              setOpen(false);
              onChange(next);
            }}
          />
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

interface OptionListProps {
  label: string;
  value: string | null;
  options: readonly Option[];
  free?: boolean;
  onChoose: (value: string) => void;
}

/** The list of a combobox by itself, for a dialog that holds nothing else. */
export function OptionList({ label, value, options, free, onChoose }: OptionListProps) {
  const id = useId();
  const [typed, setTyped] = useState("");
  const found = useMemo(() => {
    const ranked = rank(typed, options, (option) => `${option.label} ${option.hint ?? ""}`);
    const text = typed.trim();
    return free && text && !options.some((option) => option.value === text) ? [...ranked, { value: text, label: t("useTyped", { typed: text }) }] : ranked;
  }, [typed, options, free]);
  const [at, setAt] = useState(() => Math.max(0, options.findIndex((option) => option.value === value)));
  const active = Math.min(at, found.length - 1);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt(Math.min(active + 1, found.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(active - 1, 0));
    else if (event.key === "Enter" && found[active]) onChoose(found[active].value);
    else return;
    event.preventDefault();
  };
  return (
    <>
      <div className="flex items-center gap-2 border-b border-line px-2.5">
        <Icon name="search" size={13} className="text-faint" />
        <input
          autoFocus
          role="combobox"
          aria-expanded
          aria-controls={`${id}-list`}
          aria-activedescendant={found[active] ? `${id}-${active}` : undefined}
          aria-label={label}
          placeholder={label}
          value={typed}
          onChange={(event) => {
            setTyped(event.target.value);
            setAt(0);
          }}
          onKeyDown={onKeyDown}
          className="h-9 w-full bg-transparent text-sm outline-none placeholder:text-faint"
        />
      </div>
      <ul id={`${id}-list`} role="listbox" aria-label={label} className="thin-scroll max-h-72 overflow-y-auto p-1">
        {found.map((option, index) => (
          <li
            key={option.value}
            id={`${id}-${index}`}
            role="option"
            aria-selected={option.value === value}
            ref={index === active ? scrollIntoView : undefined}
            onMouseMove={() => setAt(index)}
            onClick={() => onChoose(option.value)}
            style={typed ? undefined : { paddingLeft: `${8 + (option.depth ?? 0) * 14}px` }}
            className={cx("flex items-center gap-2 rounded-md px-2 py-1 text-sm", index === active && "bg-hover")}
          >
            <span className="clip-line">{option.label}</span>
            {option.hint && <span className="clip-line ml-auto text-xs text-faint">{option.hint}</span>}
            {option.value === value && <Icon name="check" size={13} className="ml-auto text-accent" />}
          </li>
        ))}
      </ul>
      {found.length === 0 && <p className="px-3 py-3 text-xs text-faint">{t("noOption")}</p>}
    </>
  );
}

const scrollIntoView = (element: HTMLElement | null) => element?.scrollIntoView({ block: "nearest" });
