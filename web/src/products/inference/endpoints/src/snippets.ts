/** How to call an endpoint, in three languages, ready to run. */
export interface Snippet {
  id: string;
  label: string;
  text: string;
}

export function snippetsFor(url: string, model: string, task: string): Snippet[] {
  return task === "text-embedding" ? embedding(url, model) : chat(url, model);
}

function chat(url: string, model: string): Snippet[] {
  return [
    {
      id: "curl", label: "curl",
      text: `curl ${url}/chat/completions \\
  -H "Authorization: Bearer $IRONWORKS_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "${model}", "messages": [{"role": "user", "content": "Hello"}]}'`,
    },
    {
      id: "python", label: "Python",
      text: `import os
from openai import OpenAI

client = OpenAI(base_url="${url}", api_key=os.environ["IRONWORKS_KEY"])
stream = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "Hello"}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="")`,
    },
    {
      id: "typescript", label: "TypeScript",
      text: `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${url}", apiKey: process.env.IRONWORKS_KEY });
const stream = await client.chat.completions.create({
  model: "${model}",
  messages: [{ role: "user", content: "Hello" }],
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`,
    },
  ];
}

function embedding(url: string, model: string): Snippet[] {
  return [
    {
      id: "curl", label: "curl",
      text: `curl ${url}/embeddings \\
  -H "Authorization: Bearer $IRONWORKS_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "${model}", "input": ["Hello"]}'`,
    },
    {
      id: "python", label: "Python",
      text: `import os
from openai import OpenAI

client = OpenAI(base_url="${url}", api_key=os.environ["IRONWORKS_KEY"])
answer = client.embeddings.create(model="${model}", input=["Hello"])
print(len(answer.data[0].embedding))`,
    },
    {
      id: "typescript", label: "TypeScript",
      text: `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${url}", apiKey: process.env.IRONWORKS_KEY });
const answer = await client.embeddings.create({ model: "${model}", input: ["Hello"] });
console.log(answer.data[0]?.embedding.length);`,
    },
  ];
}
