/** Server-sent events from a response's body, as the standard says; `EventSource` cannot send a token. */
export interface ServerEvent {
  event: string;
  data: string;
  id: string;
  /** What the server says beside its events. */
  comment?: string;
}

export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  let id = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value.replaceAll("\r\n", "\n");
      const blocks = rest.split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const found = parseEvent(block);
        id = found.id || id;
        yield { ...found, id };
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

export function parseEvent(block: string): ServerEvent {
  const found: ServerEvent = { event: "message", data: "", id: "" };
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (field === "event") found.event = value ?? "";
    else if (field === "data") data.push(value ?? "");
    else if (field === "id") found.id = value ?? "";
    else if (field === "" && value) found.comment = value;
  }
  return { ...found, data: data.join("\n") };
}
