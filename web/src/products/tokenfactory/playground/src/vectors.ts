/** What embeddings are compared by. */
export const norm = (vector: readonly number[]): number => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));

/** The cosine of the angle between two: 1 the same direction, 0 nothing in common; 0 too where one is nothing. */
export function similarity(a: readonly number[], b: readonly number[]): number {
  const length = norm(a) * norm(b);
  if (length === 0) return 0;
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0) / length;
}

export const similarities = (vectors: readonly number[][]): number[][] => vectors.map((a) => vectors.map((b) => similarity(a, b)));

/** The two that are most alike, apart from each with itself. */
export function closest(matrix: readonly number[][]): { a: number; b: number; value: number } | null {
  let best: { a: number; b: number; value: number } | null = null;
  matrix.forEach((row, a) => {
    row.slice(0, a).forEach((value, b) => {
      if (!best || value > best.value) best = { a: b, b: a, value };
    });
  });
  return best;
}
