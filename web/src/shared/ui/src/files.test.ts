import { expect, it } from "vitest";

import { csvOf } from "./files.ts";

it("quotes what has to be, and lets no cell be a formula", () => {
  expect(csvOf([["a", "b"], ['say "hi", all', -1], ["=1+1", null]])).toBe("a,b\r\n\"say \"\"hi\"\", all\",-1\r\n'=1+1,");
});
