/**
 * A conversation: prompts, and to each the answers of one model or of two. It is kept in this browser alone, for each
 * person and tenant apart, and nowhere else.
 */
import { parseMoney } from "@ironworks/ui";

import type { Measures } from "./gateway.ts";
import type { Problem } from "./problems.ts";
import type { Message } from "./settings.ts";

export interface Told {
  model: string;
  text: string;
  thought: string;
  state: "waiting" | "held" | "streaming" | "done" | "stopped" | "failed";
  problem: Problem | null;
  measures: Measures;
}

export interface Turn {
  id: string;
  prompt: string;
  /** One of each model that was asked, in the order of the panes. */
  answers: Told[];
}

export const fresh = (model: string): Told => ({ model, text: "", thought: "", state: "waiting", problem: null, measures: {} });

export const isRunning = ({ state }: Told): boolean => state === "waiting" || state === "held" || state === "streaming";

/** What one pane's model is told before `turn`, and the prompt of that turn. What was never answered is left out. */
export function messagesFor(turns: readonly Turn[], turn: string, pane: number): Message[] {
  const at = turns.findIndex(({ id }) => id === turn);
  const before = turns.slice(0, at).flatMap(({ prompt, answers }): Message[] => {
    const answer = answers[pane] ?? answers[0];
    if (!answer?.text) return [];
    return [
      { role: "user", content: prompt },
      { role: "assistant", content: answer.text },
    ];
  });
  return [...before, { role: "user", content: turns[at]?.prompt ?? "" }];
}

export const withAnswer = (turns: readonly Turn[], turn: string, pane: number, answer: Told): Turn[] =>
  turns.map((one) => (one.id === turn ? { ...one, answers: Object.assign([...one.answers], { [pane]: answer }) } : one));

/** The conversation up to a prompt, which is asked anew; what followed is gone. */
export const cutAt = (turns: readonly Turn[], turn: string, prompt: string): Turn[] => {
  const at = turns.findIndex(({ id }) => id === turn);
  return [...turns.slice(0, at), { id: turn, prompt, answers: [] }];
};

export interface Totals {
  tokens: number;
  nano: bigint;
}

export function totalsOf(turns: readonly Turn[]): Totals {
  const measured = turns.flatMap(({ answers }) => answers.map(({ measures }) => measures));
  return {
    tokens: measured.reduce((sum, { input = 0, output = 0 }) => sum + input + output, 0),
    nano: measured.reduce((sum, { cost = "0" }) => sum + parseMoney(cost), 0n),
  };
}

/** Answers that nobody brings to their end any more were stopped. */
export const settled = (turns: readonly Turn[]): Turn[] =>
  turns.map((turn) => ({ ...turn, answers: turn.answers.map((answer) => (isRunning(answer) ? { ...answer, state: "stopped" } : answer)) }));

const MOST = 500_000;
const keyOf = (person: string, scope: string) => `ironworks.playground.${person}.${scope}`;

/** What was said before. */
export function loadTurns(person: string, scope: string): Turn[] {
  try {
    return settled(JSON.parse(localStorage.getItem(keyOf(person, scope)) ?? "[]") as Turn[]);
  } catch {
    return []; // unreadable or forbidden storage: begin anew
  }
}

/** Keeps as many of the last turns as a browser's storage easily takes. */
export function saveTurns(person: string, scope: string, turns: readonly Turn[]): void {
  try {
    let kept = turns;
    let text = JSON.stringify(kept);
    while (text.length > MOST && kept.length > 0) {
      kept = kept.slice(1);
      text = JSON.stringify(kept);
    }
    if (kept.length > 0) localStorage.setItem(keyOf(person, scope), text);
    else localStorage.removeItem(keyOf(person, scope));
  } catch {
    // a private window may forbid it: the conversation then lasts as long as the page
  }
}
