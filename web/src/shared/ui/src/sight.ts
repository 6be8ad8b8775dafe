/** Which rows of a long list are in sight. All rows are of one height, so nothing is measured and nothing remembered. */
import { useLayoutEffect, useState } from "react";
import type { RefObject } from "react";
import { flushSync } from "react-dom";

interface Sight {
  first: number;
  /** Behind the last one. */
  end: number;
}

interface Moving extends Sight {
  /** It was scrolled a moment ago. */
  moving: boolean;
}

/** Pixels of the head, which stays above the rows. */
const HEAD = 33;
/** Rows drawn beyond both edges: a wheel or a finger moves them in before a script is asked. */
const BEYOND = 8;
/** Milliseconds after which a list that is not scrolled any more rests. */
const REST = 150;

/** `top` pixels are scrolled away, `room` pixels are seen; rows are `height` high. As many rows wherever it stands. */
export function sightOf(top: number, room: number, height: number): Sight {
  const first = Math.floor(top / height) - BEYOND;
  return { first: Math.max(0, first), end: first + Math.ceil(room / height) + 1 + 2 * BEYOND };
}

/** Follows the scroller: what comes into sight is drawn in the frame that it comes in. */
export function useSight(scroller: RefObject<HTMLElement | null>, count: number, height: number): Moving {
  const [sight, setSight] = useState<Moving>({ first: 0, end: 0, moving: false });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = (moving: boolean) => {
      const next = sightOf(element.scrollTop, element.clientHeight, height);
      setSight((before) => (before.first === next.first && before.end === next.end ? before : { ...next, moving }));
    };
    const move = () => {
      flushSync(() => look(true));
      clearTimeout(timer);
      timer = setTimeout(() => setSight((before) => (before.moving ? { ...before, moving: false } : before)), REST);
    };
    const resized = new ResizeObserver(() => look(false));
    look(false);
    resized.observe(element);
    element.addEventListener("scroll", move, { passive: true });
    return () => {
      clearTimeout(timer);
      resized.disconnect();
      element.removeEventListener("scroll", move);
    };
  }, [scroller, height]);
  const end = Math.min(count, sight.end);
  return { first: Math.min(sight.first, end), end, moving: sight.moving };
}

/** Moves the list no further than it has to. */
export function bringToSight(scroller: HTMLElement, index: number, height: number): void {
  const highest = index * height;
  const lowest = highest + height + HEAD - scroller.clientHeight;
  if (scroller.scrollTop > highest) scroller.scrollTop = highest;
  else if (scroller.scrollTop < lowest) scroller.scrollTop = lowest;
}
