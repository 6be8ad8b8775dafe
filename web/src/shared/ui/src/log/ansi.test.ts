import { expect, it } from "vitest";

import { parseAnsi, stripAnsi } from "./ansi.ts";
import { LineStore } from "./lines.ts";

const ESC = "\x1b";
const told = (line: string) => parseAnsi(line).spans.map(({ text, className }) => [text, className]);

it("gives what programs colour a class, and the rest none", () => {
  expect(told(`ok ${ESC}[31mred${ESC}[0m ${ESC}[1;92mbold${ESC}[22;39m end`)).toEqual([
    ["ok ", ""], ["red", "ansi-red"], [" ", ""], ["bold", "ansi-green font-semibold"], [" end", ""],
  ]);
  expect(told(`${ESC}[38;5;196mx${ESC}[38;2;10;20;250my${ESC}[48:5:2mz`)).toEqual([["x", "ansi-red"], ["y", "ansi-blue"], ["z", "ansi-blue ansi-green-back"]]);
});

it("carries a colour into the next line", () => {
  const first = parseAnsi(`${ESC}[33mwarning`);
  expect(parseAnsi("goes on", first.style).spans).toEqual([{ text: "goes on", className: "ansi-yellow" }]);
});

it("leaves out whatever else a terminal would obey", () => {
  const nasty = `${ESC}]0;title\x07a${ESC}[2Jb${ESC}]8;;https://evil.example${ESC}\\c${ESC}[?25ld\x00\x08e${ESC}(Bf${ESC}`;
  expect(told(nasty).map(([text]) => text).join("")).toBe("abcdef");
  expect(stripAnsi(nasty)).toBe("abcdef");
  expect(told("<script>alert(1)</script>")).toEqual([["<script>alert(1)</script>", ""]]);
});

it("shows a progress bar as it stood last", () => {
  expect(stripAnsi("10 %\r50 %\r100 %\r")).toBe("100 %");
});

it("keeps the newest lines, and finds in what is shown", () => {
  const store = new LineStore(1_000);
  store.add(Array.from({ length: 2_500 }, (_, index) => `${ESC}[32mline${ESC}[0m ${index}`));
  expect([store.length, store.dropped, store.textOf(0)]).toEqual([1_000, 1_500, "line 1500"]);
  expect(store.find("LINE 24")).toEqual(Array.from({ length: 100 }, (_, index) => 900 + index));
  expect(store.find("")).toEqual([]);
  expect(store.text()).toMatch(/^line 1500\nline 1501\n/);
});
