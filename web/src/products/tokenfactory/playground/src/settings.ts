/** How a model is asked: kept in the page's address, so that a setting can be handed on; nothing set is the model's own. */
export interface Settings {
  system: string;
  temperature: number | null;
  max_tokens: number | null;
  top_p: number | null;
  seed: number | null;
  stop: string[];
  json: boolean;
}

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

export const BOUNDS = {
  temperature: { min: 0, max: 2, step: 0.1 },
  max_tokens: { min: 1, max: 1_000_000, step: 1 },
  top_p: { min: 0, max: 1, step: 0.05 },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 },
} as const;
export type NumberName = keyof typeof BOUNDS;
export const NUMBERS = Object.keys(BOUNDS) as NumberName[];

/** A number within its bounds; null for anything else. */
export function numberOf(name: NumberName, text: string | null): number | null {
  const { min, max, step } = BOUNDS[name];
  const value = text?.trim() ? Number(text) : NaN;
  if (!Number.isFinite(value) || value < min || value > max) return null;
  return Number.isInteger(step) && !Number.isInteger(value) ? null : value;
}

export function readSettings(query: URLSearchParams): Settings {
  const number = (name: NumberName) => numberOf(name, query.get(name));
  return {
    system: query.get("system") ?? "",
    temperature: number("temperature"),
    max_tokens: number("max_tokens"),
    top_p: number("top_p"),
    seed: number("seed"),
    stop: (query.get("stop") ?? "").split("\n").filter(Boolean).slice(0, 4),
    json: query.get("json") === "1",
  };
}

/** The body of a chat completion; `stream_options` is how its usage comes with it. */
export function chatBody(model: string, messages: Message[], settings: Settings): Record<string, unknown> {
  const { stop, json } = settings;
  return {
    model,
    messages: settings.system ? [{ role: "system", content: settings.system }, ...messages] : messages,
    stream: true,
    ...Object.fromEntries(NUMBERS.filter((name) => settings[name] !== null).map((name) => [name, settings[name]])),
    ...(stop.length > 0 && { stop }),
    ...(json && { response_format: { type: "json_object" } }),
  };
}
