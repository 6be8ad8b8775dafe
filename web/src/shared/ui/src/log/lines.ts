/** The newest lines of a log: 100,000 are kept, and each is taken apart only when it is shown. */
import { parseAnsi, stripAnsi } from "./ansi.ts";
import type { Span, Style } from "./ansi.ts";

export const MOST_LINES = 100_000;

export class LineStore {
  private lines: string[] = [];
  /** The style that a line begins with, where one before it left a colour on. */
  private begins = new Map<number, Style>();
  private last: Style | undefined;
  /** How many are gone. A line's number counts them, so it never changes. */
  dropped = 0;

  constructor(private readonly most = MOST_LINES) {}

  get length(): number {
    return this.lines.length;
  }

  add(more: readonly string[]): void {
    for (const line of more) {
      if (this.last) this.begins.set(this.dropped + this.lines.length, this.last);
      this.last = styleAfter(line, this.last);
      this.lines.push(line);
    }
    const gone = this.lines.length - this.most;
    if (gone <= 0) return;
    this.lines = this.lines.slice(gone);
    for (let index = this.dropped; index < this.dropped + gone; index += 1) this.begins.delete(index);
    this.dropped += gone;
  }

  spansOf(index: number): Span[] {
    return parseAnsi(this.lines[index] ?? "", this.begins.get(this.dropped + index)).spans;
  }

  textOf(index: number): string {
    return stripAnsi(this.lines[index] ?? "");
  }

  /** The indices of the lines that hold `wanted`, whatever its case. */
  find(wanted: string): number[] {
    const sought = wanted.toLowerCase();
    if (!sought) return [];
    return this.lines.flatMap((line, index) => (stripAnsi(line).toLowerCase().includes(sought) ? [index] : []));
  }

  /** Everything, without colours. */
  text(): string {
    return this.lines.map(stripAnsi).join("\n");
  }
}

/** What a line leaves switched on; most leave nothing, and are not taken apart to see it. */
function styleAfter(line: string, begin: Style | undefined): Style | undefined {
  const last = line.lastIndexOf("\x1b[");
  if (last < 0) return begin;
  if (line.startsWith("\x1b[0m", last) || line.startsWith("\x1b[m", last)) return undefined;
  const { style } = parseAnsi(line, begin);
  return Object.values(style).some((one) => one !== null && one !== false) ? style : undefined;
}
