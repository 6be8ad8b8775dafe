import * as Radix from "@radix-ui/react-dropdown-menu";
import { cloneElement, useImperativeHandle, useRef, useState } from "react";
import type { HTMLAttributes, ReactElement, ReactNode, Ref } from "react";

import { cx } from "./classes.ts";
import { Icon } from "./icons.tsx";
import type { IconName } from "./icons.tsx";
import { Keys } from "./tooltip.tsx";
import { useWithin } from "./within.ts";

export interface MenuItem {
  label: string;
  icon?: IconName;
  keys?: string;
  danger?: boolean;
  disabled?: boolean;
  checked?: boolean;
  onSelect: () => void;
}

interface MenuProps {
  label: string;
  /** A button that hands events to the element it draws. */
  trigger: ReactElement<HTMLAttributes<HTMLElement>>;
  header?: ReactNode;
  /** Groups, parted by a line. */
  groups: readonly (readonly MenuItem[])[];
  align?: "start" | "end";
}

interface Held {
  button: HTMLElement;
  open: boolean;
}

interface OpeningProps extends Omit<MenuProps, "trigger">, Held {
  onOpenChange: (open: boolean) => void;
}

const OPENING = ["Enter", " ", "ArrowDown"];

/** Its button alone until that is pressed or has the focus: a row of a long list has a menu, and most are never opened. */
export function Menu({ trigger, ...rest }: MenuProps) {
  const [held, setHeld] = useState<Held | null>(null);
  const turn = (button: HTMLElement) => setHeld((before) => ({ button, open: !before?.open }));
  return (
    <>
      {cloneElement(trigger, {
        "aria-haspopup": "menu",
        "aria-expanded": held?.open ?? false,
        onFocus: ({ currentTarget: button }) => setHeld((before) => before ?? { button, open: false }),
        onPointerDown: (event) => {
          if (event.button !== 0 || event.ctrlKey) return;
          if (!held?.open) event.preventDefault(); // the focus is the menu's
          turn(event.currentTarget);
        },
        onKeyDown: (event) => {
          if (!OPENING.includes(event.key)) return;
          event.preventDefault();
          turn(event.currentTarget);
        },
      })}
      {held && <Opening {...rest} {...held} onOpenChange={(open) => setHeld({ ...held, open })} />}
    </>
  );
}

/** Stands for the button that is there already: the menu is placed at it and gives the focus back to it. */
function Stand({ button, ref }: { button: HTMLElement; ref?: Ref<HTMLElement> }) {
  useImperativeHandle(ref, () => button, [button]);
  return null;
}

/**
 * Not modal: a modal one would inject styles to stop the page from scrolling. What was chosen is done once the trigger
 * has the focus again, so that a dialog which it opens gives it back there.
 */
function Opening({ label, button, open, onOpenChange, header, groups, align = "end" }: OpeningProps) {
  const shown = groups.filter((group) => group.length > 0);
  const container = useWithin();
  const chosen = useRef<(() => void) | null>(null);
  const finish = () => {
    const act = chosen.current;
    chosen.current = null;
    if (act) queueMicrotask(act);
  };
  return (
    <Radix.Root modal={false} open={open} onOpenChange={onOpenChange}>
      <Radix.Trigger asChild>
        <Stand button={button} />
      </Radix.Trigger>
      <Radix.Portal container={container}>
        <Radix.Content
          align={align}
          sideOffset={4}
          collisionPadding={8}
          aria-label={label}
          aria-labelledby={undefined}
          onCloseAutoFocus={finish}
          className="z-40 min-w-48 animate-appear rounded-lg border border-line bg-panel p-1 shadow-pop"
        >
          {header && <div className="border-b border-line px-2 pt-1 pb-2 text-xs text-muted">{header}</div>}
          {shown.map((group, index) => (
            <Radix.Group key={group[0]?.label} className={cx("py-0.5", index > 0 && "mt-0.5 border-t border-line")}>
              {group.map((item) => (
                <Radix.Item
                  key={item.label}
                  disabled={item.disabled ?? false}
                  onSelect={() => {
                    chosen.current = item.onSelect;
                  }}
                  className={cx(
                    "flex h-7 cursor-default items-center gap-2 rounded-md px-2 text-sm outline-none",
                    "data-disabled:opacity-50 data-highlighted:bg-hover",
                    item.danger && "text-bad",
                  )}
                >
                  {item.icon && <Icon name={item.icon} size={14} className={item.danger ? "" : "text-faint"} />}
                  {item.label}
                  {item.checked && <Icon name="check" size={13} className="ml-auto text-accent" />}
                  {item.keys && <Keys text={item.keys} className="ml-auto pl-4" />}
                </Radix.Item>
              ))}
            </Radix.Group>
          ))}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
