/** Four steps from an empty tenant to a known cost. Each is ticked by what is there, not by who clicked. */
import { Link, pageAddress, useBootstrap, useCan, useModels } from "@ironworks/sdk";
import type { Bootstrap, Resource } from "@ironworks/sdk";
import { Button, Icon, Phase, Section, buttonClass, cx, formatMoney, parseMoney, toneOf } from "@ironworks/ui";
import { useState } from "react";
import type { ReactNode } from "react";

import { useKeys } from "./keys.ts";
import type { Watched } from "./running.tsx";
import { howToCall, stepsDone } from "./steps.ts";
import type { Callable } from "./steps.ts";
import type { Today } from "./usage.ts";
import { t } from "./words.ts";

const HIDDEN = "ironworks.started";

interface StartedProps {
  scope: string;
  today: Today | undefined;
  watched: Watched[];
}

/** Shown until every step is done or it is hidden; who sees the last tick come may enjoy it until he leaves. */
export function GettingStarted({ scope, today, watched }: StartedProps) {
  const can = useCan();
  const [hidden, setHidden] = useState(() => isHidden(scope));
  const [begun, setBegun] = useState(false);
  const deploys = can("endpoint:create", scope);
  const calls = can("api-key:create", scope);
  const { models, own, loading } = useCallable(scope, watched, !hidden && (deploys || calls));
  const keys = useKeys(scope, models.length > 0);
  const known = begun || (!loading && keys !== undefined);
  const done = stepsDone(models.length, keys ?? [], today);
  const all = Object.values(done).every(Boolean);
  if (known && today && !all && !begun) setBegun(true);
  if (!known || !today || hidden || (all && !begun) || !(deploys || (calls && done.deploy))) return null;
  return (
    <Section
      title={t(all ? "startedDone" : "started")}
      hint={t(all ? "startedDoneHint" : "startedHint")}
      flush
      actions={
        <Button
          small
          look="quiet"
          onClick={() => {
            hide(scope);
            setHidden(true);
          }}
        >
          {t("hide")}
        </Button>
      }
    >
      <Steps scope={scope} done={done} models={models} own={own} today={today} />
    </Section>
  );
}

/** What can be called here: the scope's own; where it has none, what is handed down or routed to, as far as a key may call it and it has not failed. */
function useCallable(scope: string, watched: Watched[], enabled: boolean): { models: Callable[]; own: boolean; loading: boolean } {
  const lists = watched.filter(({ kind }) => kind.plural === "endpoints" || kind.plural === "external-endpoints");
  const waiting = lists.some((list) => list.loading);
  const own = lists.flatMap(({ kind, items }) => items.map((item) => ownModel(kind.plural === "endpoints" ? "endpoint" : "external", item)));
  const around = useModels(scope, { enabled: enabled && !waiting && own.length === 0 });
  if (own.length > 0) return { models: own, own: true, loading: waiting };
  const works = around.models.filter(({ allowed, phase }) => allowed && toneOf(phase) !== "bad");
  return { models: works, own: false, loading: waiting || around.loading };
}

const ownModel = (kind: Callable["kind"], { metadata, status }: Resource): Callable => ({
  id: metadata.name, kind, scope: metadata.scope, name: metadata.name, phase: status.phase,
});

interface StepsProps {
  scope: string;
  done: ReturnType<typeof stepsDone>;
  models: Callable[];
  /** They are the scope's own. */
  own: boolean;
  today: Today;
}

function Steps({ scope, done, models, own, today }: StepsProps) {
  const bootstrap = useBootstrap();
  const can = useCan();
  const first = models.find(({ phase }) => toneOf(phase) === "ok") ?? models[0];
  const starting = first && toneOf(first.phase) !== "ok" ? first.phase : null;
  const calling = first && howToCall(scope, first);
  const steps: StepProps[] = [
    {
      ...(first && !own
        ? { title: t("stepHave"), hint: t(models.length > 1 ? "stepHaveMore" : "stepHaveHint", { name: first.id, count: models.length - 1 }) }
        : { title: t("stepDeploy"), hint: t("stepDeployHint") }),
      ...(can("endpoint:create", scope) ? { to: pageAddress(scope, "endpoints", "new"), action: t("deploy") } : {}),
      done: done.deploy, note: starting && <Phase phase={starting} />,
    },
    { title: t("stepKey"), hint: t("stepKeyHint"), done: done.key, to: pageAddress(scope, "keys", "", { create: "1" }), action: t("createKey") },
    {
      title: t("stepCall"), hint: t("stepCallHint"), done: done.call,
      ...(hasPlayground(bootstrap) ? { to: pageAddress(scope, "playground"), action: t("tryIt") } : calling ? { to: calling, action: t("howToCall") } : {}),
      note: hasPlayground(bootstrap) && calling && (
        <Link to={calling} className={buttonClass("quiet")}>
          {t("howToCall")}
        </Link>
      ),
    },
    {
      title: t("stepCost"), hint: t("stepCostHint"), done: done.cost, to: pageAddress(scope, "usage"), action: t("seeUsage"),
      note: today.total.cost !== null && today.total.requests > 0 && <span className="nums text-sm font-semibold">{formatMoney(parseMoney(today.total.cost), today.currency)}</span>,
    },
  ];
  const next = steps.findIndex((step) => !step.done);
  return (
    <ol className="grid divide-y divide-line xl:grid-cols-4 xl:divide-x xl:divide-y-0">
      {steps.map((step, index) => (
        <Step key={step.title} {...step} number={index + 1} next={index === next} />
      ))}
    </ol>
  );
}

interface StepProps {
  title: string;
  hint: string;
  done: boolean;
  to?: string;
  action?: string;
  note?: ReactNode;
}

function Step({ title, hint, done, to, action, note, number, next }: StepProps & { number: number; next: boolean }) {
  return (
    <li className="flex gap-3 p-4">
      <span
        className={cx(
          "inline-flex size-6 shrink-0 items-center justify-center rounded-full border text-xs font-semibold",
          done ? "border-transparent bg-ok-soft text-ok" : next ? "border-accent text-accent" : "border-line text-faint",
        )}
      >
        {done ? <Icon name="check" size={14} /> : number}
        {done && <span className="sr-only">{t("done")}</span>}
      </span>
      <div className="flex min-w-0 flex-1 flex-col gap-1">
        <p className={cx("font-medium", !done && !next && "text-muted")}>{title}</p>
        <p className="text-xs text-faint">{hint}</p>
        <div className="mt-auto flex flex-wrap items-center gap-2 pt-1.5">
          {to && (
            <Link to={to} className={buttonClass(next ? "primary" : "normal")}>
              {action}
            </Link>
          )}
          {note}
        </div>
      </div>
    </li>
  );
}

const hasPlayground = (bootstrap: Bootstrap): boolean => bootstrap.features.some(({ manifest, enabled }) => manifest.id === "playground" && enabled);

function hiddenScopes(): string[] {
  try {
    return JSON.parse(localStorage.getItem(HIDDEN) ?? "[]") as string[];
  } catch {
    return []; // storage is forbidden or unreadable: then it shows
  }
}

const isHidden = (scope: string): boolean => hiddenScopes().includes(scope);

function hide(scope: string): void {
  try {
    localStorage.setItem(HIDDEN, JSON.stringify([...hiddenScopes(), scope].slice(-100)));
  } catch {
    // it is hidden for as long as the page is open
  }
}
