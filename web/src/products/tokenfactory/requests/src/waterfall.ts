/** Where a request's time went, one part after the other, from what the gateway recorded. */
import type { Course } from "./usage.ts";

export type PartId = "gateway" | "budget" | "queue" | "wake" | "try" | "connect" | "first" | "stream" | "answer" | "book" | "whole" | "kept";

export interface Part {
  id: PartId;
  /** Milliseconds since the request had come. */
  from: number;
  until: number;
  /** Of a try that failed: who it was and what went wrong. */
  whom?: string;
}

/** The parts of what was recorded; of requests from before the moments were recorded, as much as can be told. */
export function partsOf(course: Course, cached = false): Part[] {
  const total = lengthOf(course);
  if (cached) return [{ id: "kept", from: 0, until: total }];
  const parts: Part[] = [];
  let at = 0;
  const add = (id: PartId, from: number, until: number, whom?: string) => {
    if (until > from || id === "try") parts.push({ id, from, until, ...(whom && { whom }) });
    at = Math.max(at, until);
  };
  for (const step of course.steps) {
    add("gateway", at, step.from_ms);
    add(step.what as PartId, step.from_ms, step.until_ms, step.whom);
  }
  const { asked_ms: asked, ended_ms: ended } = course;
  if (asked === null || ended === null) {
    if (parts.length > 0) add("gateway", at, total);
    else addUntold(course, total, add);
    return parts;
  }
  add("gateway", at, asked);
  const sent = course.sent_ms ?? asked;
  add("connect", asked, sent);
  const first = course.first_byte_ms === null ? null : Math.min(Math.max(course.first_byte_ms, sent), ended);
  if (first === null) add(course.sent_ms === null || failed(course) ? "try" : "answer", sent, ended);
  else {
    add("first", sent, first);
    add("stream", first, ended);
  }
  add("book", ended, total);
  return parts;
}

/** Codes by which the last that was asked did not do it, and nobody was left to ask. */
const failed = ({ error }: Course): boolean => ["upstream_error", "upstream_timeout", "model_overloaded", "model_not_ready"].includes(error ?? "");

function addUntold(course: Course, total: number, add: (id: PartId, from: number, until: number) => void): void {
  if (course.first_byte_ms === null) {
    add("whole", 0, total);
    return;
  }
  add("first", 0, course.first_byte_ms);
  add("stream", course.first_byte_ms, total);
}

/** Of the whole, never shorter than its parts, which are told more exactly. */
export const lengthOf = (course: Course): number => Math.max(course.duration_ms, course.ended_ms ?? 0, course.first_byte_ms ?? 0, ...course.steps.map((step) => step.until_ms));

/** Tokens a second while it streamed; null where that says nothing. */
export function speedOf(course: Course, output: number): number | null {
  const { first_byte_ms: first } = course;
  const until = course.ended_ms ?? course.duration_ms;
  return first === null || output < 2 || until - first < 1 ? null : ((output - 1) * 1000) / (until - first);
}
