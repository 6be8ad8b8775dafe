/**
 * Lines of a log with the colours that programs give them (ECMA-48 SGR), as spans with a class each.
 *
 * Nothing of a line becomes markup. Every other control sequence is left out: a log has no cursor to move and no title to
 * set. A carriage return begins its line anew, as a terminal shows a progress bar.
 */
export interface Span {
  text: string;
  className: string;
}

interface Style {
  fore: number | null;
  back: number | null;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
}

const PLAIN: Style = { fore: null, back: null, bold: false, dim: false, italic: false, underline: false };

/** CSI, OSC (ended by BEL or ST) and the other strings that terminals take, then single escapes, then control characters. */
const SEQUENCE = new RegExp(
  [String.raw`\x1b\[([0-9;:?<=>]*)[ -/]*([@-~])`, String.raw`\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?`, String.raw`\x1b[ -/]*[0-~]?`, String.raw`[\x00-\x08\x0b-\x1f\x7f-\x9f]`].join("|"),
  "g",
);

const FORE = ["ansi-black", "ansi-red", "ansi-green", "ansi-yellow", "ansi-blue", "ansi-magenta", "ansi-cyan", "ansi-white"];

function classOf(style: Style): string {
  const names = [];
  if (style.fore !== null) names.push(FORE[style.fore % 8]);
  if (style.back !== null) names.push(`${FORE[style.back % 8] ?? ""}-back`);
  if (style.bold || (style.fore ?? 0) > 7) names.push("font-semibold");
  if (style.dim) names.push("opacity-70");
  if (style.italic) names.push("italic");
  if (style.underline) names.push("underline");
  return names.join(" ");
}

/** The parts of one line, and the style that the next one begins with. */
export function parseAnsi(line: string, begin: Style = PLAIN): { spans: Span[]; style: Style } {
  const text = afterReturns(line);
  if (!HAS_CONTROL.test(text)) return { spans: text ? [{ text, className: classOf(begin) }] : [], style: begin };
  const spans: Span[] = [];
  let style = begin;
  let at = 0;
  const add = (part: string) => {
    if (part) spans.push({ text: part, className: classOf(style) });
  };
  for (const match of text.matchAll(SEQUENCE)) {
    add(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === "m") style = applied(style, match[1] ?? "");
  }
  add(text.slice(at));
  return { spans, style };
}

// eslint-disable-next-line no-control-regex -- that is what is looked for
const HAS_CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;

/** What a terminal leaves of a line that returned to its beginning. */
function afterReturns(line: string): string {
  const parts = line.replace(/\r+$/, "").split("\r");
  return parts[parts.length - 1] ?? "";
}

/** The text alone, for searching and copying. */
export const stripAnsi = (line: string): string => afterReturns(line).replace(SEQUENCE, "");

function applied(style: Style, parameters: string): Style {
  const codes = parameters.split(/[;:]/).map((code) => Number(code || 0));
  let next = style;
  for (let index = 0; index < codes.length; index += 1) {
    const code = codes[index] ?? 0;
    if (code === 38 || code === 48) {
      const { colour, used } = extended(codes.slice(index + 1));
      next = code === 38 ? { ...next, fore: colour } : { ...next, back: colour };
      index += used;
    } else next = one(next, code);
  }
  return next;
}

function one(style: Style, code: number): Style {
  if (code >= 30 && code <= 37) return { ...style, fore: code - 30 };
  if (code >= 90 && code <= 97) return { ...style, fore: code - 90 + 8 };
  if (code >= 40 && code <= 47) return { ...style, back: code - 40 };
  if (code >= 100 && code <= 107) return { ...style, back: code - 100 };
  switch (code) {
    case 0:
      return PLAIN;
    case 1:
      return { ...style, bold: true };
    case 2:
      return { ...style, dim: true };
    case 3:
      return { ...style, italic: true };
    case 4:
      return { ...style, underline: true };
    case 22:
      return { ...style, bold: false, dim: false };
    case 23:
      return { ...style, italic: false };
    case 24:
      return { ...style, underline: false };
    case 39:
      return { ...style, fore: null };
    case 49:
      return { ...style, back: null };
    default:
      return style;
  }
}

/** `5;n` or `2;r;g;b` after 38 or 48: the nearest of the eight colours, each of which can be read in both themes. */
function extended(codes: number[]): { colour: number | null; used: number } {
  if (codes[0] === 5) return { colour: fromPalette(codes[1] ?? 0), used: 2 };
  if (codes[0] === 2) return { colour: nearest(codes[1] ?? 0, codes[2] ?? 0, codes[3] ?? 0), used: 4 };
  return { colour: null, used: 0 };
}

function fromPalette(index: number): number {
  if (index < 16) return index;
  if (index >= 232) return index < 244 ? 0 : 7;
  const cube = index - 16;
  return nearest(Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51);
}

const nearest = (red: number, green: number, blue: number): number => {
  const half = Math.max(red, green, blue) / 2;
  const bits = (red > half ? 1 : 0) + (green > half ? 2 : 0) + (blue > half ? 4 : 0);
  return half < 20 ? 0 : bits;
};

export type { Style };
