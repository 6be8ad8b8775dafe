/** The name itself where nobody has it, or the first of `name-2`, `name-3` … that is free; at most 63 letters, as names are. */
export function freeName(name: string, taken: Iterable<string>): string {
  const known = new Set(taken);
  for (let count = 1; ; count += 1) {
    const end = count === 1 ? "" : `-${count}`;
    const candidate = `${name.slice(0, 63 - end.length).replace(/-+$/, "")}${end}`;
    if (!known.has(candidate)) return candidate;
  }
}
