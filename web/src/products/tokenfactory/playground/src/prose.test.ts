import { expect, it } from "vitest";

import { piecesOf } from "./prose.tsx";

it("sets what is fenced as code", () => {
  expect(piecesOf("Look:\n\n```python\nprint(1)\n```\nDone `x`.")).toEqual([
    { code: false, language: "", text: "Look:" },
    { code: true, language: "python", text: "print(1)" },
    { code: false, language: "", text: "Done `x`." },
  ]);
});

it("takes a fence that is still open for code, and leaves fences within a line alone", () => {
  expect(piecesOf("```\nabc")).toEqual([{ code: true, language: "", text: "abc" }]);
  expect(piecesOf("a ``` b")).toEqual([{ code: false, language: "", text: "a ``` b" }]);
});
