/** An answer as it was written; what it fences as code is set as code, and can be copied. */
import { CodeBlock } from "@ironworks/ui";

export interface Piece {
  code: boolean;
  language: string;
  text: string;
}

/** A fence that is not closed yet is code too: it is still being written. */
export function piecesOf(text: string): Piece[] {
  const parts = text.split(/^```([\w+#.-]*)[^\S\n]*$\n?/m);
  const pieces: Piece[] = [{ code: false, language: "", text: parts[0] ?? "" }];
  for (let at = 1; at < parts.length; at += 2) {
    const code = pieces.at(-1)?.code === false;
    pieces.push({ code, language: code ? (parts[at] ?? "") : "", text: parts[at + 1] ?? "" });
  }
  return pieces.map((piece) => ({ ...piece, text: piece.text.replace(/^\n+|\n+$/g, "") })).filter(({ text }) => text.trim() !== "");
}

export const Prose = ({ text }: { text: string }) => (
  <div className="flex flex-col gap-2 text-sm">
    {piecesOf(text).map((piece, index) =>
      piece.code ? (
        <CodeBlock key={index} label={piece.language || "code"} text={piece.text} />
      ) : (
        <p key={index} className="break-words whitespace-pre-wrap">
          {piece.text}
        </p>
      ),
    )}
  </div>
);
