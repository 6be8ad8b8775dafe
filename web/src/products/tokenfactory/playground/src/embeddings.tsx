/** Texts as vectors, and how close they lie to one another. */
import { tell, useBootstrap, useQueryString } from "@ironworks/sdk";
import { Button, Callout, CopyButton, Empty, IconButton, Input, Loading, Page, Section } from "@ironworks/ui";
import { useEffect, useRef, useState } from "react";
import type { FormEvent } from "react";

import { InTenant, ModelChoice, NoModels, WhichPage } from "./choosing.tsx";
import { Code } from "./code.tsx";
import { embed } from "./gateway.ts";
import type { Measures } from "./gateway.ts";
import { KeyNote, useMayCall } from "./key-note.tsx";
import { keyFor } from "./key.ts";
import { MeasuresLine } from "./measures.tsx";
import { firstOf, useModels } from "./models.ts";
import { problemOf } from "./problems.ts";
import type { Problem } from "./problems.ts";
import { Trouble } from "./trouble.tsx";
import { closest, norm, similarities } from "./vectors.ts";
import { t } from "./words.ts";

const MOST_TEXTS = 12;
const BEGINNING = 4;

interface Found {
  model: string;
  texts: string[];
  vectors: number[][];
  measures: Measures;
}

export default function Embeddings() {
  return <InTenant>{(scope, base) => <Embedding key={scope} scope={scope} base={base} />}</InTenant>;
}

function Embedding({ scope, base }: { scope: string; base: string }) {
  const [query] = useQueryString();
  const { models, loading, error } = useModels(scope, "embedding");
  const [coding, setCoding] = useState(false);
  const [texts, setTexts] = useState([t("exampleA"), t("exampleB"), t("exampleC")]);
  const { found, problem, busy, run } = useEmbedding(scope, base);
  const may = useMayCall(scope);
  const model = query.get("model") ?? firstOf(models);
  const given = texts.map((text) => text.trim()).filter(Boolean);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(model, given);
  };
  return (
    <Page
      title={t("title")}
      meta={<WhichPage scope={scope} page="embeddings" />}
      actions={
        <Button icon="terminal" onClick={() => setCoding(true)}>
          {t("code")}
        </Button>
      }
    >
      {error && <Callout tone="bad">{tell(error)}</Callout>}
      {loading ? (
        <Loading />
      ) : models.length === 0 && !query.has("model") ? (
        <NoModels scope={scope} embedders />
      ) : (
        <div className="grid items-start gap-4 xl:grid-cols-[minmax(20rem,2fr)_minmax(0,3fr)]">
          <Section title={t("texts")} hint={t("textsHint")}>
            <form className="mb-3 flex flex-col gap-3" onSubmit={submit}>
              <div className="flex">
                <ModelChoice label={t("model")} word="model" value={model} models={models} />
              </div>
              <TextRows texts={texts} onChange={setTexts} />
              <div className="flex flex-wrap items-center gap-2">
                <Button type="submit" look="primary" busy={busy} disabled={given.length === 0 || !may}>
                  {t("embed")}
                </Button>
                <Button icon="plus" disabled={texts.length >= MOST_TEXTS} onClick={() => setTexts([...texts, ""])}>
                  {t("addText")}
                </Button>
              </div>
            </form>
            <KeyNote scope={scope} />
          </Section>
          <div className="flex min-w-0 flex-col gap-4">
            {problem && <Trouble problem={problem} />}
            {found ? <Shown found={found} /> : !problem && <Nothing />}
          </div>
        </div>
      )}
      {coding && <Code base={base} body={{ model, input: given }} embeds onClose={() => setCoding(false)} />}
    </Page>
  );
}

/** The last vectors, and the call that is on its way. */
function useEmbedding(scope: string, base: string) {
  const person = useBootstrap().caller.uid;
  const [found, setFound] = useState<Found | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const call = useRef<AbortController | null>(null);
  useEffect(() => () => call.current?.abort(), []);
  const run = async (model: string, texts: string[]) => {
    const { signal } = (call.current = new AbortController());
    setBusy(true);
    setProblem(null);
    try {
      const key = await keyFor({ person, scope }, base);
      setFound({ model, texts, ...(await embed({ base, key, signal }, model, texts)) });
    } catch (error) {
      if (!signal.aborted) setProblem(problemOf(error));
    } finally {
      setBusy(false);
    }
  };
  return { found, problem, busy, run };
}

function TextRows({ texts, onChange }: { texts: string[]; onChange: (texts: string[]) => void }) {
  return (
    <ul className="flex flex-col gap-2">
      {texts.map((text, index) => (
        <li key={index} className="flex items-center gap-1">
          <span className="nums w-5 text-xs text-faint">{index + 1}</span>
          <Input
            aria-label={t("text", { number: index + 1 })}
            value={text}
            onChange={(event) => onChange(texts.with(index, event.target.value))}
          />
          <IconButton
            icon="close"
            size="small"
            label={t("removeText", { number: index + 1 })}
            disabled={texts.length === 1}
            onClick={() => onChange(texts.toSpliced(index, 1))}
          />
        </li>
      ))}
    </ul>
  );
}

const Nothing = () => (
  <Section>
    <Empty icon="grid" title={t("vectors")}>
      {t("embeddedHint")}
    </Empty>
  </Section>
);

function Shown({ found: { model, texts, vectors, measures } }: { found: Found }) {
  const matrix = similarities(vectors);
  const nearest = closest(matrix);
  return (
    <>
      <Section
        title={t("similarity")}
        hint={nearest ? t("nearest", { a: nearest.a + 1, b: nearest.b + 1, value: nearest.value.toFixed(3) }) : t("similarityHint")}
      >
        <Matrix texts={texts} matrix={matrix} />
      </Section>
      <Section title={t("vectors")} hint={t("vectorCount", { count: vectors.length })} flush>
        <div className="overflow-x-auto">
          <table className="w-full text-left text-sm">
            <thead className="border-b border-line text-xs text-muted">
              <tr>
                <th className="px-4 py-2 font-medium">#</th>
                <th className="px-2 py-2 text-right font-medium">{t("dimensions")}</th>
                <th className="px-2 py-2 text-right font-medium">{t("norm")}</th>
                <th className="px-2 py-2 font-medium">{t("beginning")}</th>
                <th className="px-2 py-2" />
              </tr>
            </thead>
            <tbody className="divide-y divide-line">
              {vectors.map((vector, index) => (
                <tr key={index}>
                  <td className="nums px-4 py-1.5 text-faint">{index + 1}</td>
                  <td className="nums px-2 py-1.5 text-right">{vector.length}</td>
                  <td className="nums px-2 py-1.5 text-right">{norm(vector).toFixed(4)}</td>
                  <td className="px-2 py-1.5 font-mono text-xs whitespace-nowrap text-muted">
                    {vector.slice(0, BEGINNING).map((value) => value.toFixed(4)).join("  ")} …
                  </td>
                  <td className="px-2 py-1.5 text-right">
                    <CopyButton text={JSON.stringify(vector)} label={t("copyVector", { number: index + 1 })} size="tiny" />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <div className="border-t border-line px-4 py-2">
          <MeasuresLine measures={measures} model={model} />
        </div>
      </Section>
    </>
  );
}

/** Darker is closer; the figure says how close. */
function Matrix({ texts, matrix }: { texts: readonly string[]; matrix: readonly number[][] }) {
  return (
    <div className="overflow-x-auto">
      <table aria-label={t("similarity")} className="border-separate border-spacing-0.5 text-xs">
        <thead>
          <tr>
            <td />
            {texts.map((_, index) => (
              <th key={index} scope="col" className="nums px-1 font-medium text-faint">
                {index + 1}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {matrix.map((row, at) => (
            <tr key={at}>
              <th scope="row" className="max-w-32 pr-2 sm:max-w-64 text-left font-normal">
                <span className="flex min-w-0 gap-2">
                  <span className="nums text-faint">{at + 1}</span>
                  <span className="clip-line text-muted">{texts[at]}</span>
                </span>
              </th>
              {row.map((value, to) => (
                <td
                  key={to}
                  className="nums min-w-14 rounded-sm px-2 py-1.5 text-center text-ink"
                  style={{ backgroundColor: `color-mix(in oklab, var(--accent) ${Math.round(Math.max(0, value) * 32)}%, var(--raised))` }}
                >
                  {value.toFixed(3)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
