import { expect, it } from "vitest";

import { chatBody, numberOf, readSettings } from "./settings.ts";

const read = (text: string) => readSettings(new URLSearchParams(text));

it("takes from an address what makes sense and leaves the rest to the model", () => {
  expect(read("temperature=0.2&top_p=2&max_tokens=1.5&seed=0&stop=END%0A%0AStop&json=1&system=Be brief")).toEqual({
    system: "Be brief",
    temperature: 0.2,
    top_p: null,
    max_tokens: null,
    seed: 0,
    stop: ["END", "Stop"],
    json: true,
  });
  expect(numberOf("temperature", "warm")).toBeNull();
  expect(numberOf("temperature", " ")).toBeNull();
  expect(numberOf("max_tokens", "64")).toBe(64);
});

it("asks for nothing that was not set", () => {
  const messages = [{ role: "user" as const, content: "Hi" }];
  expect(chatBody("m", messages, read(""))).toEqual({ model: "m", messages, stream: true });
  expect(chatBody("m", messages, read("temperature=0&json=1&stop=x&system=S"))).toEqual({
    model: "m",
    messages: [{ role: "system", content: "S" }, ...messages],
    stream: true,
    temperature: 0,
    stop: ["x"],
    response_format: { type: "json_object" },
  });
});
