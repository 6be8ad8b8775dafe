/** How to call a model from a shell; the gateway's address comes with the console's first call. */
import { useBootstrap } from "@ironworks/sdk";

export function curlOf(gateway: string, model: string): string {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }] });
  return `curl ${gateway}/v1/chat/completions \\
  -H "Authorization: Bearer $IRONWORKS_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${body}'`;
}

export const useCurl = (model: string): string => curlOf(useBootstrap().services["gateway"] ?? "http://127.0.0.1:7080", model);
