import { expect, it } from "vitest";

import { parseEvent, readEvents } from "./sse.ts";

const stream = (...chunks: string[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      controller.close();
    },
  });

it("reads fields, several lines of data and comments", () => {
  expect(parseEvent(": heartbeat\nid: 7\nevent: added\ndata: {\ndata: }")).toEqual({ event: "added", data: "{\n}", id: "7", comment: "heartbeat" });
});

it("puts events together however they were cut, and keeps the last id", async () => {
  const found = [];
  for await (const event of readEvents(stream("id: 1\nevent: a\nda", "ta: x\n", "\ndata: y\n\nrest"))) found.push(event);
  expect(found).toEqual([
    { event: "a", data: "x", id: "1" },
    { event: "message", data: "y", id: "1" },
  ]);
});
