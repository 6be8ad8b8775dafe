import { Button, Textarea } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent, KeyboardEvent } from "react";

import { KeyNote, useMayCall } from "./key-note.tsx";
import { t } from "./words.ts";

const MOST_ROWS = 10;

interface ComposerProps {
  scope: string;
  running: boolean;
  onSend: (prompt: string) => void;
  onStop: () => void;
}

/** Where a message is written: Enter sends, with Shift it is a new line, Escape stops what is coming. */
export function Composer({ scope, running, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState("");
  const may = useMayCall(scope);
  const send = () => {
    if (!text.trim() || running || !may) return;
    onSend(text.trim());
    setText("");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" && running) onStop();
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <div className="flex flex-col gap-2 border-t border-line px-3 py-3">
      <form
        className="flex items-end gap-2"
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          send();
        }}
      >
        <Textarea
          autoFocus
          aria-label={t("prompt")}
          placeholder={t("promptHint")}
          rows={Math.min(MOST_ROWS, Math.max(2, text.split("\n").length))}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
        />
        {running ? (
          <Button icon="stop" onClick={onStop}>
            {t("stopAnswer")}
          </Button>
        ) : (
          <Button type="submit" look="primary" icon="send" disabled={!text.trim() || !may}>
            {t("send")}
          </Button>
        )}
      </form>
      <KeyNote scope={scope} />
    </div>
  );
}
