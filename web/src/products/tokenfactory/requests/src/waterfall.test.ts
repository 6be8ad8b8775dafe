import { describe, expect, it } from "vitest";

import type { Course } from "./usage.ts";
import { lengthOf, partsOf, speedOf } from "./waterfall.ts";

const course: Course = { duration_ms: 1000, first_byte_ms: 300, tries: 1, streamed: true, asked_ms: 1.5, sent_ms: 4, ended_ms: 999.5, steps: [], error: null };
const told = (given: Partial<Course>, cached = false) => partsOf({ ...course, ...given }, cached).map((part) => [part.id, part.from, part.until]);

describe("the parts of a request", () => {
  it("follow one another without gap", () => {
    expect(told({})).toEqual([
      ["gateway", 0, 1.5], ["connect", 1.5, 4], ["first", 4, 300], ["stream", 300, 999.5], ["book", 999.5, 1000],
    ]);
    expect(told({ first_byte_ms: null, streamed: false, asked_ms: 2, sent_ms: 2 })).toEqual([
      ["gateway", 0, 2], ["answer", 2, 999.5], ["book", 999.5, 1000],
    ]);
  });

  it("hold what it waited for and every try", () => {
    const steps = [
      { what: "budget", from_ms: 0, until_ms: 10, whom: "" },
      { what: "try", from_ms: 11, until_ms: 20, whom: "acme/a: it answered 503" },
      { what: "queue", from_ms: 20, until_ms: 90, whom: "" },
    ];
    expect(told({ steps, asked_ms: 90, sent_ms: 91 })).toEqual([
      ["budget", 0, 10], ["gateway", 10, 11], ["try", 11, 20], ["queue", 20, 90], ["connect", 90, 91], ["first", 91, 300],
      ["stream", 300, 999.5], ["book", 999.5, 1000],
    ]);
    const nobody = { asked_ms: null, sent_ms: null, ended_ms: null, first_byte_ms: null };
    expect(told({ ...nobody, steps: steps.slice(2) })).toEqual([["gateway", 0, 20], ["queue", 20, 90], ["gateway", 90, 1000]]);
  });

  it("end with the try that failed where nobody was left to ask", () => {
    const error = "upstream_error";
    expect(told({ error, sent_ms: null, ended_ms: 3, duration_ms: 3, first_byte_ms: null })).toEqual([["gateway", 0, 1.5], ["try", 1.5, 3]]);
    expect(told({ error, first_byte_ms: null }).at(-2)).toEqual(["try", 4, 999.5]);
    expect(told({ error: "invalid_request", first_byte_ms: null }).at(-2)).toEqual(["answer", 4, 999.5]);
  });

  it("are as many as an older record tells", () => {
    const before = { asked_ms: null, sent_ms: null, ended_ms: null };
    expect(told(before)).toEqual([["first", 0, 300], ["stream", 300, 1000]]);
    expect(told({ ...before, first_byte_ms: null })).toEqual([["whole", 0, 1000]]);
    expect(told({}, true)).toEqual([["kept", 0, 1000]]);
  });

  it("are never longer than the whole", () => {
    expect(lengthOf({ ...course, duration_ms: 0, ended_ms: 0.4, first_byte_ms: null })).toBe(0.4);
    expect(told({ duration_ms: 999, first_byte_ms: 2000 }).at(-1)).toEqual(["book", 999.5, 2000]);
  });
});

describe("the speed of a stream", () => {
  it("leaves the first token out, which waited for the prompt", () => {
    expect(speedOf({ ...course, ended_ms: 1300 }, 11)).toBe(10);
  });

  it("is not told of one token, nor of an answer in one piece", () => {
    expect(speedOf(course, 1)).toBeNull();
    expect(speedOf({ ...course, first_byte_ms: null }, 50)).toBeNull();
  });
});
