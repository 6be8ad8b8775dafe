import { expect, it } from "vitest";

import { callAs } from "./calls.ts";

const base = "https://models.example.com/v1";
const body = {
  model: "chat",
  messages: [{ role: "user", content: "Say it's \"fine\"\n" }],
  stream: true,
  stop: ["a", "b"],
  response_format: { type: "json_object" },
};
const texts = (operation: "chat/completions" | "embeddings", given: Record<string, unknown>) =>
  Object.fromEntries(callAs({ base, operation, body: given }).map(({ id, text }) => [id, text]));

it("quotes for a shell", () => {
  const { curl = "" } = texts("chat/completions", body);
  expect(curl).toContain(`curl -N ${base}/chat/completions`);
  expect(curl).toContain(`Say it'\\''s \\"fine\\"\\n`);
});

it("writes Python's own literals", () => {
  const { python } = texts("chat/completions", body);
  expect(python).toContain("    stream=True,\n");
  expect(python).toContain('    stop=["a", "b"],\n');
  expect(python).toContain('        {"role": "user", "content": "Say it\'s \\"fine\\"\\n"},\n');
  expect(python).toContain('response_format={"type": "json_object"}');
});

it("leaves the quotes of names away in TypeScript, and those of texts alone", () => {
  const { typescript } = texts("chat/completions", body);
  expect(typescript).toContain('\n  model: "chat",');
  expect(typescript).toContain('content: "Say it\'s \\"fine\\"\\n"');
  expect(typescript).toContain("for await (const chunk of stream)");
});

it("embeds", () => {
  const { curl, python, typescript } = texts("embeddings", { model: "minilm", input: ["Hello"] });
  expect(curl).toContain(`curl ${base}/embeddings`);
  expect(python).toContain('    input=["Hello"],\n)\nprint(len(answer.data[0].embedding))');
  expect(typescript).toContain("client.embeddings.create({");
});
