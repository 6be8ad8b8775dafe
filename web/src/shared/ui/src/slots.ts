/**
 * Which box draws which row of a long list. While the list moves, the box of a row that left takes one that comes: to
 * change some words costs a browser half of what it costs to make the boxes anew. Once it rests the boxes stand in the
 * order of the rows again, for whoever walks or hears them one after the other.
 */
export interface Slot {
  /** Of the box, as long as it is there. */
  id: number;
  /** Of the row that is in it. */
  key: string;
  /** It holds another row than it was made for, and may stand elsewhere in the document than the row is seen. */
  lent: boolean;
  /** Somebody touched what is in it: a menu may be open, a dialog ask. It is never given to another row. */
  held: boolean;
}

/** The boxes for the rows in sight, `keys`; the same array where nothing is to change. */
export function settle(before: readonly Slot[], keys: readonly string[], moving: boolean): readonly Slot[] {
  let id = Math.max(0, ...before.map((slot) => slot.id));
  const made = (key: string, lent: boolean): Slot => ({ id: ++id, key, lent, held: false });
  const known = new Map(before.map((slot) => [slot.key, slot]));
  const coming = keys.filter((key) => !known.has(key));
  if (moving) {
    const seen = new Set(keys);
    if (coming.length === 0 && before.every((slot) => seen.has(slot.key))) return before;
    const kept = before.flatMap((slot) => {
      if (seen.has(slot.key)) return slot;
      const key = slot.held ? undefined : coming.shift();
      return key === undefined ? [] : { ...slot, key, lent: true };
    });
    return [...kept, ...coming.map((key) => made(key, true))];
  }
  const inPlace = before.length === keys.length && before.every((slot, at) => slot.key === keys[at] && !slot.lent);
  if (inPlace) return before;
  return keys.map((key) => {
    const slot = known.get(key);
    if (!slot || (slot.lent && !slot.held)) return made(key, false);
    return slot.lent ? { ...slot, lent: false } : slot;
  });
}

/** The row with `key` was touched. */
export const hold = (slots: readonly Slot[], key: string): readonly Slot[] =>
  slots.some((slot) => slot.key === key && !slot.held) ? slots.map((slot) => (slot.key === key ? { ...slot, held: true } : slot)) : slots;
