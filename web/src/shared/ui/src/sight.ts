/** Which rows of a long list are in sight. All rows are of one height, so nothing is measured and nothing remembered. */
import { useLayoutEffect, useState } from "react";
import type { RefObject } from "react";
import { flushSync } from "react-dom";

interface Sight {
  first: number;
  /** Behind the last one. */
  end: number;
}

/** Pixels of the head, which stays above the rows. */
const HEAD = 33;
/** Rows drawn beyond both edges: a wheel or a finger moves them in before a script is asked. */
const BEYOND = 8;

/** `top` pixels are scrolled away, `room` pixels are seen; rows are `height` high. */
export function sightOf(top: number, room: number, height: number): Sight {
  return { first: Math.max(0, Math.floor(top / height) - BEYOND), end: Math.ceil((top + room) / height) + BEYOND };
}

/** Follows the scroller: what comes into sight is drawn in the frame that it comes in. */
export function useSight(scroller: RefObject<HTMLElement | null>, count: number, height: number): Sight {
  const [sight, setSight] = useState<Sight>({ first: 0, end: 0 });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const look = () => {
      const next = sightOf(element.scrollTop, element.clientHeight, height);
      setSight((before) => (before.first === next.first && before.end === next.end ? before : next));
    };
    const move = () => flushSync(look);
    const resized = new ResizeObserver(look);
    look();
    resized.observe(element);
    element.addEventListener("scroll", move, { passive: true });
    return () => {
      resized.disconnect();
      element.removeEventListener("scroll", move);
    };
  }, [scroller, height]);
  const end = Math.min(count, sight.end);
  return { first: Math.min(sight.first, end), end };
}

/** Moves the list no further than it has to. */
export function bringToSight(scroller: HTMLElement, index: number, height: number): void {
  const highest = index * height;
  const lowest = highest + height + HEAD - scroller.clientHeight;
  if (scroller.scrollTop > highest) scroller.scrollTop = highest;
  else if (scroller.scrollTop < lowest) scroller.scrollTop = lowest;
}
