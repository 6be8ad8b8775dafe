/** A conversation that goes on: asks, shows answers as they come, stops, asks again. */
import { useCallback, useEffect, useRef, useState } from "react";

import { cutAt, fresh, isRunning, loadTurns, messagesFor, saveTurns, withAnswer } from "./conversation.ts";
import type { Told, Turn } from "./conversation.ts";
import { GatewayError, streamChat } from "./gateway.ts";
import type { Answer } from "./gateway.ts";
import { forgetKey, keyFor } from "./key.ts";
import type { Whose } from "./key.ts";
import { problemOf } from "./problems.ts";
import { chatBody } from "./settings.ts";
import type { Settings } from "./settings.ts";

interface Place extends Whose {
  /** The gateway's address with the version. */
  base: string;
}

export interface Asking {
  models: readonly string[];
  settings: Settings;
}

export interface Talk {
  turns: Turn[];
  running: boolean;
  send: (prompt: string, asking: Asking) => void;
  /** Asks the prompt of `turn` again, or what it is changed to; what followed is gone. */
  again: (turn: string, prompt: string, asking: Asking) => void;
  stop: () => void;
  set: (turns: Turn[]) => void;
}

/** `send`, `again`, `stop` and `set` stay the same while answers come, so that what is said already is not drawn anew. */
export function useTalk({ person, scope, base }: Place): Talk {
  const [turns, setTurns] = useState(() => loadTurns(person, scope));
  const latest = useRef(turns);
  const calls = useRef(new Set<AbortController>());
  const running = turns.some(({ answers }) => answers.some(isRunning));

  useEffect(() => {
    if (!running) saveTurns(person, scope, turns);
  }, [running, turns, person, scope]);
  const set = useCallback((next: Turn[]) => setTurns((latest.current = next)), []);
  const stop = useCallback(() => calls.current.forEach((call) => call.abort()), []);
  useEffect(
    () => () => {
      stop();
      saveTurns(person, scope, latest.current);
    },
    [stop, person, scope],
  );

  const ask = useCallback(
    (all: Turn[], turn: string, { models, settings }: Asking) => {
      set(all.map((one) => (one.id === turn ? { ...one, answers: models.map(fresh) } : one)));
      saveTurns(person, scope, latest.current);
      models.forEach((model, pane) => {
        const call = new AbortController();
        calls.current.add(call);
        const body = chatBody(model, messagesFor(all, turn, pane), settings);
        const show = (answer: Told) => {
          if (calls.current.has(call)) set(withAnswer(latest.current, turn, pane, answer));
        };
        void answerOf(model, { person, scope, base, body, signal: call.signal }, show).finally(() => calls.current.delete(call));
      });
    },
    [person, scope, base, set],
  );
  const send = useCallback(
    (prompt: string, asking: Asking) => {
      const turn: Turn = { id: crypto.getRandomValues(new Uint32Array(2)).join("-"), prompt, answers: [] };
      ask([...latest.current, turn], turn.id, asking);
    },
    [ask],
  );
  const again = useCallback(
    (turn: string, prompt: string, asking: Asking) => {
      for (const call of calls.current) call.abort();
      calls.current.clear();
      ask(cutAt(latest.current, turn, prompt), turn, asking);
    },
    [ask],
  );
  return { turns, running, send, again, stop, set };
}

interface Called extends Place {
  body: Record<string, unknown>;
  signal: AbortSignal;
}

/** Calls, and shows how it goes; never raises. A key of ours that ran out is replaced once. */
async function answerOf(model: string, called: Called, show: (answer: Told) => void): Promise<void> {
  let told = fresh(model);
  const drawn = onceAFrame(() => show(told));
  const change = (next: Partial<Told>) => {
    told = { ...told, ...next };
  };
  const follow = (answer: Answer) => {
    const { held, text, thought } = answer;
    change({ text, thought, measures: answer.measures, state: held ? "held" : text || thought ? "streaming" : "waiting" });
    drawn.soon();
  };
  try {
    await callWithKey(called, follow);
    change({ state: "done" });
  } catch (error) {
    if (called.signal.aborted) change({ state: "stopped" });
    else change({ state: "failed", problem: problemOf(error) });
  }
  drawn.now();
}

async function callWithKey({ person, scope, base, body, signal }: Called, follow: (answer: Answer) => void): Promise<Answer> {
  const whose = { person, scope };
  const key = await keyFor(whose, base);
  signal.throwIfAborted();
  try {
    return await streamChat({ base, key, body, signal }, follow);
  } catch (error) {
    if (!(error instanceof GatewayError) || error.status !== 401 || !forgetKey(whose, key)) throw error;
    return streamChat({ base, key: await keyFor(whose, base), body, signal }, follow);
  }
}

/** Draws at most once in a frame, however many pieces come. */
function onceAFrame(draw: () => void): { soon: () => void; now: () => void } {
  let frame = 0;
  return {
    soon: () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        draw();
      });
    },
    now: () => {
      cancelAnimationFrame(frame);
      draw();
    },
  };
}
