/** Tokens among the quantities that were used: meters tell them apart by what they cost, people by where they come from. */
export type TokenPart = "input" | "output";

const partOf = (meter: string): TokenPart => (/output|reasoning/.test(meter) ? "output" : "input");

/** Those that went in, cached ones among them, or came out; all where no part is named. */
export const tokensIn = (quantities: Readonly<Record<string, number>>, part?: TokenPart): number =>
  Object.entries(quantities).reduce((sum, [meter, count]) => (meter.endsWith("_tokens") && (!part || partOf(meter) === part) ? sum + count : sum), 0);
