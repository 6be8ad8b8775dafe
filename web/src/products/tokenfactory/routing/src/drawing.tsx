/** A route as a picture: the name on the left, lines as thick as the share, targets on the right as they stand now. */
import { Link, usePlace } from "@ironworks/sdk";
import { Badge, Icon, formatDuration, formatNumber } from "@ironworks/ui";

import { isReserve, percent, sharesOf } from "./shares.ts";
import type { Figures, Traffic } from "./traffic.ts";
import { publicName, targetAddress, targetLabel, targetPlace } from "./types.ts";
import type { Route, Strategy, Target, TargetHealth } from "./types.ts";
import { strategyMeaning, strategyName, t } from "./words.ts";

const ROW = 68;
const GAP = 8;
const WIDTH = 120;

type Standing = "well" | "ill" | "unknown";

interface Drawn {
  target: Target;
  share: number | null;
  reserve: boolean;
  health: TargetHealth | undefined;
  standing: Standing;
  figures: Figures | undefined;
}

function drawn(route: Route, traffic: Traffic | undefined): Drawn[] {
  const { spec, status, metadata } = route;
  const shares = sharesOf(spec.targets, spec.strategy ?? "weighted");
  const seen = status.targets?.length === spec.targets.length ? status.targets : [];
  const places = spec.targets.map((target) => targetPlace(target, metadata.scope));
  return spec.targets.map((target, index) => {
    const health = seen[index];
    const alone = places.filter((place) => place === places[index]).length === 1; // figures are of what it leads to
    return {
      target,
      health,
      share: shares[index] ?? null,
      reserve: isReserve(target, spec.targets),
      standing: health ? (health.healthy ? "well" : "ill") : "unknown",
      figures: alone ? traffic?.items.find((one) => one.group === places[index]) : undefined,
    };
  });
}

export function Drawing({ route, traffic }: { route: Route; traffic: Traffic | undefined }) {
  const items = drawn(route, traffic);
  const strategy = route.spec.strategy ?? "weighted";
  const height = items.length * (ROW + GAP) - GAP;
  return (
    <div className="flex flex-col gap-3 lg:flex-row lg:items-center lg:gap-0" role="group" aria-label={t("drawing", { name: publicName(route) })}>
      <div className="shrink-0 rounded-lg border border-accent bg-accent-soft px-4 py-3 lg:w-60">
        <p className="font-mono text-sm font-medium break-words">{publicName(route)}</p>
        <p className="mt-1 text-xs font-medium">{strategyName(strategy)}</p>
        <p className="text-xs text-muted">{strategyMeaning(strategy)}</p>
      </div>
      <svg aria-hidden width={WIDTH} height={height} viewBox={`0 0 ${WIDTH} ${height}`} className="hidden shrink-0 lg:block">
        {items.map((item, index) => (
          <path
            key={index}
            d={curve(height / 2, index * (ROW + GAP) + ROW / 2)}
            fill="none"
            strokeWidth={item.share === null ? 2 : 1.5 + item.share * 6}
            strokeDasharray={item.reserve ? "4 5" : undefined}
            strokeLinecap="round"
            className={LINE[item.standing]}
          />
        ))}
      </svg>
      <ul className="flex min-w-0 flex-1 flex-col gap-2">
        {items.map((item, index) => (
          <TargetRow key={index} item={item} place={index + 1} strategy={strategy} route={route} />
        ))}
      </ul>
    </div>
  );
}

const curve = (from: number, to: number): string => `M 2 ${from} C ${WIDTH / 2} ${from}, ${WIDTH / 2} ${to}, ${WIDTH - 2} ${to}`;

const LINE: Record<Standing, string> = { well: "stroke-ok", ill: "stroke-bad", unknown: "stroke-edge" };
const ICON = { well: "ok", ill: "error", unknown: "help" } as const;
const COLOUR: Record<Standing, string> = { well: "text-ok", ill: "text-bad", unknown: "text-faint" };
const SAID = { well: "healthy", ill: "ill", unknown: "unknownHealth" } as const;

function TargetRow({ item, place, strategy, route }: { item: Drawn; place: number; strategy: Strategy; route: Route }) {
  const { scope } = usePlace();
  const { target, share, reserve, health, standing, figures } = item;
  return (
    <li className="flex min-h-17 items-start gap-2.5 rounded-lg border border-line px-3 py-2">
      <span className="mt-0.5">
        <Icon name={ICON[standing]} className={COLOUR[standing]} />
        <span className="sr-only">{t(SAID[standing])}</span>
      </span>
      <div className="min-w-0 flex-1">
        <div className="flex flex-wrap items-center gap-x-2 gap-y-1">
          <Link to={targetAddress(target, route.metadata.scope, scope)} className="font-medium break-all hover:text-accent hover:underline">
            {targetLabel(target)}
          </Link>
          {share !== null && !reserve && <Badge tone="info">{percent(share)}</Badge>}
          {strategy === "ordered_fallback" && !reserve && <Badge tone="info">{t("order", { place })}</Badge>}
          {reserve && <Badge>{t("reserve")}</Badge>}
        </div>
        <p className="flex flex-wrap gap-x-3 text-xs text-muted">
          {detailsOf(target).map((one) => (
            <span key={one}>{one}</span>
          ))}
          {figures && <TargetFigures figures={figures} />}
        </p>
        {health && !health.healthy && <p className="text-xs break-words text-bad">{health.message}</p>}
      </div>
    </li>
  );
}

function detailsOf({ served_as, price_as, timeout_seconds }: Target): string[] {
  return [
    served_as && t("servedAs", { name: served_as }),
    price_as && t("pricedAs", { name: price_as }),
    timeout_seconds && t("within", { time: formatDuration(timeout_seconds * 1000) }),
  ].filter((one): one is string => Boolean(one));
}

function TargetFigures({ figures }: { figures: Figures }) {
  const failed = figures.server_errors ?? 0;
  return (
    <>
      <span className="nums">
        {formatNumber(figures.requests)} {t("requests").toLowerCase()}
      </span>
      {failed > 0 && (
        <span className="nums text-bad">
          {formatNumber(failed)} {t("failed").toLowerCase()}
        </span>
      )}
      {figures.first_token_ms && (
        <span className="nums">
          {t("firstToken").toLowerCase()} {formatDuration(figures.first_token_ms.p50)}
        </span>
      )}
    </>
  );
}
