/** One prompt and what each model answered. */
import { Button, CopyButton, IconButton, Icon, Textarea, cx } from "@ironworks/ui";
import { memo, useState } from "react";

import { isRunning } from "./conversation.ts";
import type { Told, Turn } from "./conversation.ts";
import { MeasuresLine } from "./measures.tsx";
import { Prose } from "./prose.tsx";
import { Trouble } from "./trouble.tsx";
import { t } from "./words.ts";

interface TurnProps {
  turn: Turn;
  last: boolean;
  /** The names of models that sleep until they are called. */
  resting: string;
  onAgain: (turn: string, prompt: string) => void;
}

export const TurnView = memo(function TurnView({ turn, last, resting, onAgain }: TurnProps) {
  const [editing, setEditing] = useState(false);
  const { id, prompt, answers } = turn;
  const settled = !answers.some(isRunning);
  return (
    <article className="flex flex-col gap-3 px-4 py-4">
      {editing ? (
        <Editing
          prompt={prompt}
          last={last}
          onDone={(changed) => {
            setEditing(false);
            if (changed !== null) onAgain(id, changed);
          }}
        />
      ) : (
        <div className="flex items-start gap-2 rounded-lg bg-raised py-1 pr-1 pl-3">
          <p className="min-w-0 flex-1 py-1 text-sm break-words whitespace-pre-wrap">
            <span className="sr-only">{t("you")}: </span>
            {prompt}
          </p>
          {last && settled && <IconButton icon="refresh" size="small" label={t("regenerate")} onClick={() => onAgain(id, prompt)} />}
          <IconButton icon="edit" size="small" label={t("edit")} onClick={() => setEditing(true)} />
        </div>
      )}
      <div className={cx("grid gap-x-6 gap-y-4", answers.length > 1 && "md:grid-cols-2")}>
        {answers.map((answer, pane) => (
          <AnswerView key={pane} answer={answer} named={answers.length > 1} wakes={resting.split(" ").includes(answer.model)} />
        ))}
      </div>
    </article>
  );
});

function AnswerView({ answer, named, wakes }: { answer: Told; named: boolean; wakes: boolean }) {
  const { model, text, thought, state, problem, measures } = answer;
  return (
    <div role="group" aria-label={model} aria-busy={isRunning(answer)} data-answer={state} className="flex min-w-0 flex-col gap-2">
      {named && <p className="clip-line font-mono text-xs text-muted">{model}</p>}
      {thought && (
        <details className="rounded-md border border-line bg-canvas px-3 py-1.5 text-xs text-muted" open={!text}>
          <summary className="cursor-pointer select-none">{t("thinking")}</summary>
          <p className="mt-1 break-words whitespace-pre-wrap">{thought}</p>
        </details>
      )}
      {text && <Prose text={text} />}
      {(state === "waiting" || state === "held") && (
        <p role="status" className="flex items-center gap-2 text-sm text-faint">
          <Icon name="spinner" size={14} className="animate-spin" />
          {wakes ? t("waking", { model }) : t(state)}
        </p>
      )}
      {problem && <Trouble problem={problem} />}
      {!isRunning(answer) && (
        <div className="-ml-1 flex min-h-6 items-start gap-1">
          {text && <CopyButton text={text} label={t("copyAnswer")} size="tiny" />}
          {!problem && <MeasuresLine measures={measures} model={model} note={state === "stopped" ? t("stopped") : measures.finish === "length" ? t("cut") : ""} />}
        </div>
      )}
    </div>
  );
}

function Editing({ prompt, last, onDone }: { prompt: string; last: boolean; onDone: (changed: string | null) => void }) {
  const [text, setText] = useState(prompt);
  const submit = () => text.trim() && onDone(text.trim());
  return (
    <form
      className="flex flex-col gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Textarea
        autoFocus
        aria-label={t("edit")}
        rows={Math.min(10, text.split("\n").length + 1)}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") onDone(null);
          if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) submit();
        }}
      />
      <div className="flex items-center gap-2">
        <Button type="submit" look="primary" small disabled={!text.trim()}>
          {t("editAction")}
        </Button>
        <Button small onClick={() => onDone(null)}>
          {t("cancel")}
        </Button>
        {!last && <span className="text-xs text-faint">{t("editHint")}</span>}
      </div>
    </form>
  );
}
