import { describe, expect, it } from "vitest";

import { bringToSight, sightOf } from "./sight.ts";

const scrollerAt = (scrollTop: number) => ({ scrollTop, clientHeight: 333 }) as HTMLElement;

describe("sightOf", () => {
  it("draws what is seen and eight rows beyond each edge", () => {
    expect(sightOf(1000, 300, 30)).toEqual({ first: 25, end: 52 });
  });

  it("begins with the first row", () => {
    expect(sightOf(0, 300, 30)).toEqual({ first: 0, end: 19 });
  });
});

describe("bringToSight", () => {
  it("leaves the list where it is if the row is seen whole, below the head", () => {
    const scroller = scrollerAt(300);
    bringToSight(scroller, 10, 30);
    bringToSight(scroller, 19, 30);
    expect(scroller.scrollTop).toBe(300);
  });

  it("moves a row that is above or below to the nearer edge", () => {
    const scroller = scrollerAt(300);
    bringToSight(scroller, 20, 30);
    expect(scroller.scrollTop).toBe(330);
    bringToSight(scroller, 3, 30);
    expect(scroller.scrollTop).toBe(90);
  });
});
