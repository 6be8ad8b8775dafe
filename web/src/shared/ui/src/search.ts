/**
 * Finding by typing: every typed word must occur in order of its letters; hits at the beginning of words, and letters
 * that stand together, come first.
 */
export function rank<T>(typed: string, items: readonly T[], textOf: (item: T) => string): T[] {
  const wanted = typed.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return [...items];
  return items
    .map((item, index) => ({ item, index, score: scoreAll(wanted, textOf(item).toLowerCase()) }))
    .filter((entry) => entry.score > 0)
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .map((entry) => entry.item);
}

function scoreAll(wanted: string[], text: string): number {
  let total = 0;
  for (const word of wanted) {
    const score = scoreOne(word, text);
    if (score === 0) return 0;
    total += score;
  }
  return total + 1 / (1 + text.length);
}

/** 0: not in it; a whole hit counts most, at the beginning of a word even more. */
export function scoreOne(word: string, text: string): number {
  const whole = text.indexOf(word);
  if (whole >= 0) return (startsWord(text, whole) ? 8 : 4) + (whole === 0 ? 4 : 0);
  for (let first = text.indexOf(word.charAt(0)); first >= 0; first = text.indexOf(word.charAt(0), first + 1)) {
    const score = startsWord(text, first) ? scoreLetters(word, text, first) : 0;
    if (score > 0) return score;
  }
  return 0;
}

/** Letters in their order from the beginning of a word on; the more of them begin words, the better. */
function scoreLetters(word: string, text: string, first: number): number {
  let at = first;
  let starts = 0;
  for (const letter of word) {
    const next = text.indexOf(letter, at);
    if (next < 0) return 0;
    if (startsWord(text, next)) starts += 1;
    at = next + 1;
  }
  return 1 + starts / word.length;
}

const startsWord = (text: string, index: number): boolean => index === 0 || /[\s./_-]/.test(text[index - 1] ?? "");
