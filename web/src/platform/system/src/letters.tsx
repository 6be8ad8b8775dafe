/** What consumers could not handle: looked into, tried again, and what came of that. */
import { keepPreviousData, request, tell, useCan, usePlace, useQuery, useQueryWord, useTable, pageAddress } from "@ironworks/sdk";
import { Badge, Button, Callout, Choice, CodeBlock, Confirm, DataTable, Dialog, Empty, Facts, Id, Loading, Page, Time, notify } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useEffect, useRef, useState } from "react";

import { outcomesOf } from "./outcomes.ts";
import type { Letter } from "./outcomes.ts";
import { useSystem } from "./state.ts";
import { t } from "./words.ts";

const MOST = 500;

export default function Letters() {
  const { scope } = usePlace();
  const can = useCan();
  const { system } = useSystem();
  const [view, setView] = useQueryWord("show", "waiting");
  const [chosen, setChosen] = useQueryWord("letter");
  const [asking, setAsking] = useState<string | null>(null);
  const replayed = view === "replayed";
  const letters = useQuery({
    queryKey: ["dead-letters", replayed, system?.dead_letters_changed_at ?? null],
    placeholderData: keepPreviousData,
    enabled: system !== null, // the stream tells first how things are, and then each time that a letter changes
    queryFn: () => request<{ items: Letter[] }>(`/api/v1/dead-letters?limit=${MOST}${replayed ? "&replayed=true" : ""}`).then(({ items }) => items),
  });
  const expect = useOutcomes(replayed ? undefined : letters.data);
  const rows = letters.data ?? [];
  const consumers = [...new Set(rows.map((letter) => letter.consumer))].sort();
  const table = useTable({ items: rows, loading: letters.isPending && !letters.error, error: letters.error });
  const consumer = table.state.filters["consumer"] || (consumers.length === 1 ? consumers[0] : undefined);
  const mayReplay = can("dead-letter:replay", "-");

  const replay = async (letter: Letter) => {
    try {
      await request(`/api/v1/dead-letters/${letter.id}:replay`, { method: "POST" });
      expect([letter]);
      notify("info", t("replayAsked", { count: 1 }));
    } catch (error) {
      notify("bad", tell(error));
    }
  };
  const replayAll = async (name: string) => {
    const { requested } = await request<{ requested: number }>("/api/v1/dead-letters:replay", { method: "POST", body: { consumer: name } });
    expect(rows.filter((letter) => letter.consumer === name));
    notify("info", t("replayAsked", { count: requested }));
  };
  return (
    <Page
      fill
      title={t("letters")}
      actions={
        <>
          {mayReplay && !replayed && consumer && (
            <Button icon="refresh" onClick={() => setAsking(consumer)}>
              {t("replayAll", { consumer })}
            </Button>
          )}
          <Choice
            label={t("view")}
            value={replayed ? "replayed" : "waiting"}
            onChange={setView}
            options={[
              { value: "waiting", label: t("waiting") },
              { value: "replayed", label: t("replayed") },
            ]}
          />
        </>
      }
    >
      <DataTable
        label={t("letters")}
        {...table}
        columns={columnsOf(consumers, replayed)}
        rowKey={(letter) => String(letter.id)}
        onOpen={(letter) => setChosen(String(letter.id))}
        hrefOf={(letter) => pageAddress(scope, "system", "dead-letters", { letter: String(letter.id) })}
        empty={
          <Empty icon={replayed ? "refresh" : "ok"} title={t(replayed ? "noReplayed" : "noLettersTitle")}>
            {t("noLettersHint")}
          </Empty>
        }
      />
      {chosen && <LetterPanel id={chosen} changed={system?.dead_letters_changed_at ?? null} onClose={() => setChosen("")} {...(mayReplay && { onReplay: replay })} />}
      <Confirm open={asking !== null} onClose={() => setAsking(null)} title={t("replayAllTitle", { consumer: asking ?? "" })} action={t("replay")} onConfirm={() => replayAll(asking ?? "")}>
        <p className="text-sm text-muted">{t("replayAllHint")}</p>
      </Confirm>
    </Page>
  );
}

/** Says what came of the replays that this page asked for, once the list shows it. */
function useOutcomes(letters: Letter[] | undefined): (asked: Letter[]) => void {
  const waiting = useRef(new Map<number, Letter>());
  useEffect(() => {
    if (!letters || waiting.current.size === 0) return;
    for (const { letter, error } of outcomesOf([...waiting.current.values()], letters)) {
      waiting.current.delete(letter.id);
      const { subject, consumer } = letter;
      if (error === null) notify("ok", t("replayDone", { subject, consumer }));
      else notify("bad", t("replayFailed", { subject, consumer, error }));
    }
  }, [letters]);
  return (asked) => {
    for (const letter of asked) waiting.current.set(letter.id, letter);
  };
}

function columnsOf(consumers: string[], replayed: boolean): Column<Letter>[] {
  return [
    { id: "subject", label: t("subject"), width: "minmax(13rem, 1.3fr)", value: (letter) => letter.subject },
    { id: "consumer", label: t("consumer"), width: "minmax(11rem, 1fr)", value: (letter) => letter.consumer, options: consumers },
    { id: "scope", label: t("scope"), width: "minmax(7rem, 0.7fr)", secondary: true, value: (letter) => letter.scope || "-" },
    { id: "error", label: t("error"), width: "minmax(14rem, 2fr)", value: (letter) => letter.error, cell: (letter) => <span className="text-muted">{letter.error}</span> },
    { id: "tries", label: t("tries"), width: "5rem", align: "right", secondary: true, value: (letter) => letter.attempts },
    {
      id: "failed", label: t(replayed ? "settled" : "failed"), width: "7.5rem", value: (letter) => Date.parse(letter.replayed_at ?? letter.failed_at),
      cell: (letter) => <Time at={letter.replayed_at ?? letter.failed_at} />,
    },
    { id: "state", label: t("state"), width: "8rem", value: (letter) => stateOf(letter), cell: (letter) => <State letter={letter} /> },
  ];
}

const stateOf = (letter: Letter): string => (letter.replayed_at ? t("replayed") : t(letter.replay_requested_at ? "asked" : "stateWaiting"));

const State = ({ letter }: { letter: Letter }) => (
  <Badge tone={letter.replayed_at ? "ok" : letter.replay_requested_at ? "info" : "warn"}>{stateOf(letter)}</Badge>
);

interface Detail extends Letter {
  entry: {
    type: string | null;
    payload: Record<string, unknown> | null;
    correlation_id: string | null;
    kind: string | null;
    name: string | null;
    operation: string | null;
    uid: string;
    occurred_at: string;
  } | null;
}

function LetterPanel({ id, changed, onClose, onReplay }: { id: string; changed: string | null; onClose: () => void; onReplay?: (letter: Letter) => Promise<void> }) {
  const [busy, setBusy] = useState(false);
  const found = useQuery({
    queryKey: ["dead-letter", id, changed],
    placeholderData: keepPreviousData,
    queryFn: () => request<Detail>(`/api/v1/dead-letters/${encodeURIComponent(id)}`),
  });
  const letter = found.data;
  return (
    <Dialog open onClose={onClose} title={letter ? letter.subject : t("letters")} wide>
      {!letter && (found.error ? <Callout tone="bad">{tell(found.error)}</Callout> : <Loading lines={5} />)}
      {letter && (
        <div className="flex flex-col gap-4 [&_time]:whitespace-normal">
          <Callout tone={letter.replayed_at ? "ok" : "bad"}>
            <span className="font-mono text-xs break-words">{letter.error}</span>
          </Callout>
          <Facts
            items={[
              { label: t("state"), value: <State letter={letter} /> },
              { label: t("consumer"), value: letter.consumer },
              { label: t("scope"), value: letter.scope || "-" },
              { label: t("tries"), value: letter.attempts },
              { label: t("failed"), value: <Time at={letter.failed_at} exact /> },
              ...(letter.replayed_at ? [{ label: t("settled"), value: <Time at={letter.replayed_at} exact /> }] : []),
              { label: t("position"), value: letter.position },
            ]}
          />
          <Entry entry={letter.entry} />
          {onReplay && !letter.replayed_at && (
            <div>
              <Button
                look="primary"
                icon="refresh"
                busy={busy || letter.replay_requested_at !== null}
                onClick={() => {
                  setBusy(true);
                  void onReplay(letter).finally(() => setBusy(false));
                }}
              >
                {t("replay")}
              </Button>
            </div>
          )}
        </div>
      )}
    </Dialog>
  );
}

function Entry({ entry }: { entry: Detail["entry"] }) {
  if (!entry) return <p className="text-sm text-muted">{t("entryGone")}</p>;
  return (
    <section className="flex flex-col gap-2">
      <h3 className="text-sm font-semibold">{t("entry")}</h3>
      <Facts
        items={[
          { label: t("occurred"), value: <Time at={entry.occurred_at} exact /> },
          ...(entry.correlation_id ? [{ label: t("request"), value: <Id text={entry.correlation_id} /> }] : []),
          ...(entry.kind ? [{ label: entry.kind, value: t("operation", { kind: "", name: entry.name ?? "", operation: entry.operation ?? "" }).trim() }] : []),
        ]}
      />
      {entry.payload && <CodeBlock label={t("payload")} text={JSON.stringify(entry.payload, null, 2)} wrap />}
    </section>
  );
}
