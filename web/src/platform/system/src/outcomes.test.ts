import { expect, it } from "vitest";

import { outcomesOf } from "./outcomes.ts";
import type { Letter } from "./outcomes.ts";

const letter = (id: number, more: Partial<Letter> = {}): Letter => ({
  id, consumer: "mail", position: id, subject: "x.v1", scope: "acme", error: "old", attempts: 5, failed_at: "", replay_requested_at: null, replayed_at: null,
  ...more,
});

it("tells of each replay that it was handled, failed again, or nothing yet", () => {
  const asked = [letter(1), letter(2), letter(3)];
  const listed = [letter(2, { attempts: 6, error: "new" }), letter(3, { replay_requested_at: "now" }), letter(4)];
  expect(outcomesOf(asked, listed).map(({ letter: { id }, error }) => [id, error])).toEqual([[1, null], [2, "new"]]);
});
