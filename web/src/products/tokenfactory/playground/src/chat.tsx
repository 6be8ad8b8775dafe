/** Talking to a model, or to two at once. */
import { tell, useBootstrap, useQueryString } from "@ironworks/sdk";
import {
  Button, Callout, Dialog, Empty, IconButton, Loading, Page, copyText, cx, formatCompact, formatMoney, notify,
} from "@ironworks/ui";
import { useCallback, useEffect, useRef, useState } from "react";

import { InTenant, ModelChoice, NoModels, WhichPage } from "./choosing.tsx";
import { Code } from "./code.tsx";
import { Composer } from "./composer.tsx";
import { messagesFor, settled, totalsOf } from "./conversation.ts";
import type { Turn } from "./conversation.ts";
import { CURRENCY } from "./gateway.ts";
import { besideOf, firstOf, useModels } from "./models.ts";
import { SettingsPanel } from "./settings-panel.tsx";
import { chatBody, readSettings } from "./settings.ts";
import { useTalk } from "./talk.ts";
import { TurnView } from "./turn.tsx";
import { t } from "./words.ts";

export default function Chat() {
  return <InTenant>{(scope, base) => <Playground key={scope} scope={scope} base={base} />}</InTenant>;
}

function Playground({ scope, base }: { scope: string; base: string }) {
  const { caller } = useBootstrap();
  const [query, set] = useQueryString();
  const { models, loading, error } = useModels(scope, "chat");
  const talk = useTalk({ person: caller.uid, scope, base });
  const [dialog, setDialog] = useState<"settings" | "code" | null>(null);
  const model = query.get("model") ?? firstOf(models);
  const second = query.get("with");
  const asked = second === null ? [model] : [model, second];
  const settings = readSettings(query);
  const asking = { models: asked, settings };
  const latest = useRef(asking);
  useEffect(() => {
    latest.current = asking;
  });
  const { again } = talk;
  const onAgain = useCallback((turn: string, prompt: string) => again(turn, prompt, latest.current), [again]);
  const resting = models.filter(({ phase }) => phase === "Idle").map(({ id }) => id).join(" ");
  const begin = () => {
    talk.stop();
    const turns = settled(talk.turns);
    talk.set([]);
    notify("ok", t("cleared"), { undo: () => talk.set(turns) });
  };
  const link = async () => {
    const words = new URLSearchParams(query);
    words.set("model", model);
    await copyText(`${location.origin}${location.pathname}?${words}`);
    notify("ok", t("linked"));
  };
  return (
    <Page
      fill
      title={t("title")}
      meta={<WhichPage scope={scope} page="chat" />}
      actions={<Actions turns={talk.turns} onOpen={setDialog} onLink={() => void link()} onFresh={begin} />}
    >
      {error && <Callout tone="bad">{tell(error)}</Callout>}
      {loading ? (
        <Loading />
      ) : models.length === 0 && !query.has("model") ? (
        <NoModels scope={scope} />
      ) : (
        <div className="grid min-h-0 flex-1 gap-4 lg:grid-cols-[minmax(0,1fr)_18rem]">
          <div className="panel flex min-h-0 min-w-0 flex-col">
            <div className="flex flex-wrap items-center gap-2 border-b border-line px-3 py-2">
              <ModelChoice label={t("model")} word="model" value={model} models={models} />
              {second === null ? (
                <Button icon="plus" onClick={() => set({ with: besideOf(models, model) })}>
                  {t("compare")}
                </Button>
              ) : (
                <>
                  <ModelChoice label={t("otherModel")} word="with" value={second} models={models} />
                  <IconButton icon="close" label={t("compareOff")} onClick={() => set({ with: undefined })} />
                </>
              )}
            </div>
            <Turns turns={talk.turns} model={model} two={second !== null} resting={resting} onAgain={onAgain} />
            <Composer scope={scope} running={talk.running} onSend={(prompt) => talk.send(prompt, asking)} onStop={talk.stop} />
          </div>
          <aside aria-label={t("settings")} className="panel thin-scroll hidden overflow-y-auto p-4 lg:block">
            <SettingsPanel />
          </aside>
        </div>
      )}
      <Dialog open={dialog === "settings"} onClose={() => setDialog(null)} title={t("settings")} side="right">
        <SettingsPanel />
      </Dialog>
      {dialog === "code" && (
        <Code base={base} body={chatBody(model, messagesToShow(talk.turns), settings)} onClose={() => setDialog(null)} />
      )}
    </Page>
  );
}

interface ActionsProps {
  turns: readonly Turn[];
  onOpen: (dialog: "settings" | "code") => void;
  onLink: () => void;
  onFresh: () => void;
}

function Actions({ turns, onOpen, onLink, onFresh }: ActionsProps) {
  return (
    <>
      <Totals turns={turns} />
      <span className="lg:hidden">
        <Button icon="sliders" onClick={() => onOpen("settings")}>
          <span className="max-sm:sr-only">{t("settings")}</span>
        </Button>
      </span>
      <Button icon="terminal" onClick={() => onOpen("code")}>
        <span className="max-sm:sr-only">{t("code")}</span>
      </Button>
      <IconButton icon="link" label={t("link")} onClick={onLink} />
      <IconButton icon="plus" label={t("fresh")} disabled={turns.length === 0} onClick={onFresh} />
    </>
  );
}

/** What a program would send to get the last answer, or to begin. */
function messagesToShow(turns: readonly Turn[]) {
  const last = turns.at(-1);
  return last ? messagesFor(turns, last.id, 0) : [{ role: "user" as const, content: "Hello" }];
}

function Totals({ turns }: { turns: readonly Turn[] }) {
  const { tokens, nano } = totalsOf(turns);
  if (tokens === 0) return null;
  return (
    <span title={t("totalsHint")} className="nums text-xs text-muted">
      {t("totals", { tokens: formatCompact(tokens), cost: formatMoney(nano, CURRENCY) })}
    </span>
  );
}

interface TurnsProps {
  turns: readonly Turn[];
  /** The names of models that sleep until they are called. */
  resting: string;
  model: string;
  two: boolean;
  onAgain: (turn: string, prompt: string) => void;
}

/** The conversation; who reads its end sees it grow. */
function Turns({ turns, model, two, resting, onAgain }: TurnsProps) {
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const element = box.current;
    if (element && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [turns]);
  return (
    <div
      ref={box}
      tabIndex={0}
      role="log"
      aria-label={t("chat")}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        atEnd.current = scrollTop + clientHeight > scrollHeight - 32;
      }}
      className={cx("thin-scroll min-h-0 flex-1 overflow-y-auto", turns.length > 0 && "divide-y divide-line")}
    >
      {turns.length === 0 && (
        <Empty icon="chat" title={two ? t("emptyTitleTwo") : t("emptyTitle", { model })}>
          {t("emptyHint")}
        </Empty>
      )}
      {turns.map((turn, index) => (
        <TurnView key={turn.id} turn={turn} last={index === turns.length - 1} resting={resting} onAgain={onAgain} />
      ))}
    </div>
  );
}
