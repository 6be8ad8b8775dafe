import { beforeEach, expect, it } from "vitest";

import { cutAt, fresh, loadTurns, messagesFor, saveTurns, totalsOf, withAnswer } from "./conversation.ts";
import type { Told, Turn } from "./conversation.ts";

const said = (text: string, more: Partial<Told> = {}): Told => ({ ...fresh("m"), text, state: "done", ...more });
const turns: Turn[] = [
  { id: "1", prompt: "one", answers: [said("first"), said("other first")] },
  { id: "2", prompt: "two", answers: [said("", { state: "failed" }), said("other second")] },
  { id: "3", prompt: "three", answers: [] },
];

beforeEach(() => localStorage.clear());

it("tells each model its own answers, and nothing of what it never answered", () => {
  expect(messagesFor(turns, "3", 0).map(({ content }) => content)).toEqual(["one", "first", "three"]);
  expect(messagesFor(turns, "3", 1).map(({ content }) => content)).toEqual(["one", "other first", "two", "other second", "three"]);
  const single = turns.map((turn) => ({ ...turn, answers: turn.answers.slice(0, 1) }));
  expect(messagesFor(single, "2", 1).map(({ content }) => content)).toEqual(["one", "first", "two"]);
});

it("replaces one answer, and cuts off what follows a prompt that changed", () => {
  expect(withAnswer(turns, "1", 1, said("new"))[0]?.answers.map(({ text }) => text)).toEqual(["first", "new"]);
  expect(cutAt(turns, "2", "changed")).toEqual([turns[0], { id: "2", prompt: "changed", answers: [] }]);
});

it("adds up what was told, to the nano-unit", () => {
  const measured: Turn[] = [
    { id: "1", prompt: "", answers: [said("", { measures: { input: 3, output: 4, cost: "0.000000001" } }), said("", { measures: { cost: "0.1" } })] },
  ];
  expect(totalsOf(measured)).toEqual({ tokens: 7, nano: 100_000_001n });
});

it("is kept for each person and tenant apart, and what was coming is stopped", () => {
  saveTurns("olga", "a.b.c", [{ id: "1", prompt: "hi", answers: [said("he", { state: "streaming" })] }]);
  expect(loadTurns("olga", "a.b.c")[0]?.answers[0]).toMatchObject({ text: "he", state: "stopped" });
  expect(loadTurns("eve", "a.b.c")).toEqual([]);
  saveTurns("olga", "a.b.c", []);
  expect(localStorage.length).toBe(0);
});

it("keeps the last turns where there are too many, and begins anew where nothing can be read", () => {
  const long = Array.from({ length: 4 }, (_, index) => ({ id: `${index}`, prompt: "x".repeat(200_000), answers: [] }));
  saveTurns("olga", "a.b.c", long);
  expect(loadTurns("olga", "a.b.c").map(({ id }) => id)).toEqual(["2", "3"]);
  localStorage.setItem("ironworks.playground.olga.a.b.c", "{");
  expect(loadTurns("olga", "a.b.c")).toEqual([]);
});
