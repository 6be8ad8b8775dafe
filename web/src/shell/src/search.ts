/** Queries of addresses as what they are, words: by itself the router takes `1e5` for a number and writes 100000. */
export const wordsAlone = {
  parseSearch: (text: string): Record<string, string> => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch: (search: Record<string, unknown>): string => {
    const text = new URLSearchParams(search as Record<string, string>).toString();
    return text && `?${text}`;
  },
};
