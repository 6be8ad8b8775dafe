/** A call of a model as programs write it, in three languages, ready to run. */
export interface Call {
  /** The gateway's address with the version: `https://models.example.com/v1`. */
  base: string;
  operation: "chat/completions" | "embeddings";
  /** The request's body as OpenAI's API has it. */
  body: Record<string, unknown>;
}

export interface Written {
  id: string;
  label: string;
  text: string;
}

/** The key is what IRONWORKS_KEY holds. */
export function callAs(call: Call): Written[] {
  return [
    { id: "curl", label: "curl", text: inCurl(call) },
    { id: "python", label: "Python", text: inPython(call) },
    { id: "typescript", label: "TypeScript", text: inTypeScript(call) },
  ];
}

function inCurl({ base, operation, body }: Call): string {
  const quoted = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return [
    `curl ${body["stream"] ? "-N " : ""}${base}/${operation} \\`,
    '  -H "Authorization: Bearer $IRONWORKS_KEY" \\',
    '  -H "Content-Type: application/json" \\',
    `  -d '${quoted}'`,
  ].join("\n");
}

function inPython({ base, operation, body }: Call): string {
  const head = `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url="${base}", api_key=os.environ["IRONWORKS_KEY"])\n`;
  const words = Object.entries(body).map(([name, value]) => `    ${name}=${literal(value, "    ")},\n`);
  if (operation === "embeddings") {
    return `${head}answer = client.embeddings.create(\n${words.join("")})\nprint(len(answer.data[0].embedding))`;
  }
  const call = `client.chat.completions.create(\n${words.join("")})`;
  if (!body["stream"]) return `${head}answer = ${call}\nprint(answer.choices[0].message.content)`;
  return `${head}stream = ${call}\nfor chunk in stream:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="", flush=True)`;
}

function inTypeScript({ base, operation, body }: Call): string {
  const head = `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${base}", apiKey: process.env.IRONWORKS_KEY });\n`;
  const words = JSON.stringify(body, null, 2).replace(/^(\s*)"([A-Za-z_]\w*)":/gm, "$1$2:");
  if (operation === "embeddings") {
    return `${head}const answer = await client.embeddings.create(${words});\nconsole.log(answer.data[0]?.embedding.length);`;
  }
  const call = `await client.chat.completions.create(${words});`;
  if (!body["stream"]) return `${head}const answer = ${call}\nconsole.log(answer.choices[0]?.message.content);`;
  return `${head}const stream = ${call}\nfor await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`;
}

/** A JSON value as Python writes it. */
function literal(value: unknown, indent: string): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `;
  if (Array.isArray(value)) {
    if (value.every((one) => typeof one !== "object")) return `[${value.map((one) => literal(one, deeper)).join(", ")}]`;
    return `[\n${value.map((one) => `${deeper}${literal(one, deeper)},\n`).join("")}${indent}]`;
  }
  return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one, deeper)}`).join(", ")}}`;
}
