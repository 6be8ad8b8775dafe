/**
 * What things are, told when one rests on them or comes to them by keyboard. One layer shows them all, so that a tip
 * costs a cell of a table nothing until it is looked at. The layer is a popover: it lies above dialogs too.
 */
import { cloneElement, useEffect, useLayoutEffect, useRef, useSyncExternalStore } from "react";
import type { FocusEvent, HTMLAttributes, PointerEvent, ReactElement, ReactNode } from "react";

interface Shown {
  anchor: Element;
  content: ReactNode;
}

const REST_MS = 350;
/** Who looked at a tip just now does not wait for the next. */
const WARM_MS = 200;
const GAP = 6;
const MARGIN = 8;
const ID = "tooltip";

let shown: Shown | null = null;
let lastKey = "";
let hiddenAt = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

function set(next: Shown | null): void {
  clearTimeout(timer);
  if (next === shown) return;
  if (shown && !next) hiddenAt = Date.now();
  shown = next;
  for (const listener of listeners) listener();
}

function rest(anchor: Element, content: ReactNode): void {
  clearTimeout(timer);
  const warm = shown !== null || Date.now() - hiddenAt < WARM_MS;
  timer = setTimeout(() => anchor.isConnected && set({ anchor, content }), warm ? 0 : REST_MS);
}

const hide = () => set(null);

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

/** Needs a child that hands events to the element it draws. */
export function Tip({ text, keys, children }: { text: ReactNode; keys?: string | undefined; children: ReactElement<HTMLAttributes<HTMLElement>> }) {
  const own = children.props;
  const content = (
    <>
      {text}
      {keys && <Keys text={keys} className="ml-2" />}
    </>
  );
  return cloneElement(children, {
    onPointerEnter: (event: PointerEvent<HTMLElement>) => {
      own.onPointerEnter?.(event);
      if (event.pointerType !== "touch") rest(event.currentTarget, content);
    },
    onPointerLeave: (event: PointerEvent<HTMLElement>) => {
      own.onPointerLeave?.(event);
      hide();
    },
    onPointerDown: (event: PointerEvent<HTMLElement>) => {
      own.onPointerDown?.(event);
      hide();
    },
    onFocus: (event: FocusEvent<HTMLElement>) => {
      own.onFocus?.(event);
      // what a page focuses by itself, as a dialog that opens does, needs no telling
      if (lastKey === "Tab" && event.currentTarget.matches(":focus-visible")) set({ anchor: event.currentTarget, content });
    },
    onBlur: (event: FocusEvent<HTMLElement>) => {
      own.onBlur?.(event);
      hide();
    },
  });
}

/** Above the thing, or below where there is no room; never outside of the window. */
export function placeFor(anchor: { left: number; top: number; bottom: number; width: number }, size: { width: number; height: number }, room: { width: number; height: number }): { left: number; top: number } {
  const above = anchor.top - GAP - size.height;
  const top = above >= MARGIN ? above : Math.min(anchor.bottom + GAP, room.height - size.height - MARGIN);
  const middle = anchor.left + anchor.width / 2 - size.width / 2;
  return { left: Math.max(MARGIN, Math.min(middle, room.width - size.width - MARGIN)), top };
}

export function TooltipLayer() {
  const current = useSyncExternalStore(subscribe, () => shown);
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element || !current) return undefined;
    const { anchor } = current;
    element.showPopover();
    const { left, top } = placeFor(anchor.getBoundingClientRect(), element.getBoundingClientRect(), { width: innerWidth, height: innerHeight });
    element.style.left = `${left}px`;
    element.style.top = `${top}px`;
    const described = anchor.getAttribute("aria-describedby");
    anchor.setAttribute("aria-describedby", described ? `${described} ${ID}` : ID);
    return () => {
      if (described) anchor.setAttribute("aria-describedby", described);
      else anchor.removeAttribute("aria-describedby");
    };
  }, [current]);
  useEffect(() => {
    const note = (event: KeyboardEvent) => {
      lastKey = event.key;
    };
    addEventListener("keydown", note, { capture: true });
    addEventListener("scroll", hide, { capture: true, passive: true }); // another row may be in the box now that it rests on
    return () => {
      removeEventListener("keydown", note, { capture: true });
      removeEventListener("scroll", hide, { capture: true });
    };
  }, []);
  useEffect(() => {
    if (!current) return undefined;
    const press = (event: KeyboardEvent) => event.key === "Escape" && hide();
    const gone = setInterval(() => !current.anchor.isConnected && hide(), 500);
    addEventListener("keydown", press);
    return () => {
      clearInterval(gone);
      removeEventListener("keydown", press);
    };
  }, [current]);
  if (!current) return null;
  return (
    <div
      ref={box}
      id={ID}
      role="tooltip"
      popover="manual"
      className="pointer-events-none fixed inset-auto m-0 max-w-80 rounded-md border border-line bg-raised px-2 py-1 text-xs text-ink shadow-pop"
    >
      {current.content}
    </div>
  );
}

/** Keys to press, as `Ctrl K` or `g o`. */
export function Keys({ text, className }: { text: string; className?: string }) {
  return (
    <span className={`whitespace-nowrap ${className ?? ""}`}>
      {text.split(" ").map((key, index) => (
        <kbd
          key={`${index} ${key}`}
          className="mx-px inline-block min-w-4.5 rounded-sm border border-line bg-canvas px-1 text-center font-sans text-2xs text-muted"
        >
          {key}
        </kbd>
      ))}
    </span>
  );
}
