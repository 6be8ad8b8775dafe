/** What `look` finds once it is right. Nothing is said by how soon: a busy machine takes its time; `within` only ends it. */
export async function until(look, isRight = Boolean, within = 60_000) {
  const late = Date.now() + within;
  for (;;) {
    let found;
    try {
      found = await look();
      if (isRight(found)) return found;
    } catch (problem) {
      found = problem;
    }
    if (Date.now() > late) throw new Error(`still not so after ${within / 1000} s: ${look} found ${found instanceof Error ? found.message : JSON.stringify(found)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
