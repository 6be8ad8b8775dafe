/** Providers that need no looking up: where they are, whose API they speak, how they take a credential. */
import type { Dialect, Upstream } from "./types.ts";

export interface Preset {
  id: string;
  label: string;
  url: string;
  dialect: Dialect;
  auth: Upstream["auth"]["type"];
  /** A server of one's own: its address is to be filled in, and it may take no credential. */
  own?: boolean;
}

export const PRESETS: readonly Preset[] = [
  { id: "openai", label: "OpenAI", url: "https://api.openai.com/v1", dialect: "openai", auth: "bearer" },
  { id: "anthropic", label: "Anthropic", url: "https://api.anthropic.com/v1", dialect: "anthropic", auth: "api_key" },
  { id: "mistral", label: "Mistral", url: "https://api.mistral.ai/v1", dialect: "openai", auth: "bearer" },
  { id: "openrouter", label: "OpenRouter", url: "https://openrouter.ai/api/v1", dialect: "openai", auth: "bearer" },
  { id: "vllm", label: "vLLM", url: "http://vllm.example:8000/v1", dialect: "openai", auth: "bearer", own: true },
  { id: "ollama", label: "Ollama", url: "http://ollama.example:11434/v1", dialect: "openai", auth: "bearer", own: true },
  { id: "other", label: "Another", url: "https://", dialect: "openai", auth: "bearer", own: true },
];
