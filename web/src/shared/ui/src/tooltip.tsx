import * as Radix from "@radix-ui/react-tooltip";
import type { ReactElement, ReactNode } from "react";

export const TooltipProvider = ({ children }: { children: ReactNode }) => (
  <Radix.Provider delayDuration={350} skipDelayDuration={200}>
    {children}
  </Radix.Provider>
);

/** What a thing is, when one rests on it or comes to it by keyboard. Needs a child that takes a ref. */
export function Tip({ text, keys, children }: { text: ReactNode; keys?: string | undefined; children: ReactElement }) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{children}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          sideOffset={6}
          collisionPadding={8}
          className="z-50 max-w-80 rounded-md border border-line bg-raised px-2 py-1 text-xs text-ink shadow-pop"
        >
          {text}
          {keys && <Keys text={keys} className="ml-2" />}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

/** Keys to press, as `Ctrl K` or `g o`. */
export function Keys({ text, className }: { text: string; className?: string }) {
  return (
    <span className={className}>
      {text.split(" ").map((key) => (
        <kbd
          key={key}
          className="mx-px inline-block min-w-4.5 rounded-sm border border-line bg-canvas px-1 text-center font-sans text-2xs text-muted"
        >
          {key}
        </kbd>
      ))}
    </span>
  );
}
