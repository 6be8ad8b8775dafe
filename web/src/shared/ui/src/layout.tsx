/** What pages are made of. */
import { Component, useId } from "react";
import type { ErrorInfo, ReactNode } from "react";

import { Button } from "./button.tsx";
import { cx } from "./classes.ts";
import { Icon } from "./icons.tsx";
import type { IconName } from "./icons.tsx";
import { t } from "./words.ts";

interface PageProps {
  title: ReactNode;
  meta?: ReactNode;
  actions?: ReactNode;
  /** The content is as high as the window and scrolls by itself. */
  fill?: boolean;
  children: ReactNode;
}

export function Page({ title, meta, actions, fill, children }: PageProps) {
  return (
    <div className={cx("mx-auto flex w-full max-w-[120rem] min-w-0 flex-col gap-4 p-4 md:px-6 md:py-5", fill && "h-full min-h-0")}>
      <header className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <h1 className="min-w-0 text-xl font-semibold tracking-tight break-words">{title}</h1>
        {meta}
        {actions && <div className="ml-auto flex flex-wrap items-center gap-2">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

interface SectionProps {
  title?: ReactNode;
  hint?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  flush?: boolean;
  className?: string;
}

/** A framed part of a page. */
export function Section({ title, hint, actions, children, flush, className }: SectionProps) {
  const id = useId();
  return (
    <section aria-labelledby={title ? id : undefined} className={cx("panel flex min-w-0 flex-col", className)}>
      {(title || actions) && (
        <header className="flex min-h-10 items-center gap-3 border-b border-line px-4 py-1.5">
          <div className="min-w-0">
            <h2 id={id} className="text-sm font-semibold">
              {title}
            </h2>
            {hint && <p className="text-xs text-faint">{hint}</p>}
          </div>
          {actions && <div className="ml-auto flex items-center gap-2">{actions}</div>}
        </header>
      )}
      <div className={flush ? "min-w-0" : "min-w-0 p-4"}>{children}</div>
    </section>
  );
}

export interface Fact {
  label: ReactNode;
  value: ReactNode;
  key?: string;
}

/** Facts about one thing. */
export function Facts({ items }: { items: readonly Fact[] }) {
  return (
    <dl className="grid grid-cols-[minmax(7rem,max-content)_minmax(0,1fr)] gap-x-6 gap-y-1.5">
      {items.map((fact, index) => (
        <div key={fact.key ?? index} className="contents">
          <dt className="text-xs leading-5 text-faint">{fact.label}</dt>
          <dd className="min-w-0 text-sm break-words">{fact.value}</dd>
        </div>
      ))}
    </dl>
  );
}

interface StatProps {
  label: ReactNode;
  value: ReactNode;
  note?: ReactNode;
  icon?: IconName;
}

/** One figure that matters. */
export const Stat = ({ label, value, note, icon }: StatProps) => (
  <div className="panel flex min-w-0 flex-col gap-0.5 px-4 py-3">
    <span className="flex items-center gap-1.5 text-xs text-muted">
      {icon && <Icon name={icon} size={13} className="text-faint" />}
      {label}
    </span>
    <span className="nums text-xl font-semibold tracking-tight">{value}</span>
    {note && <span className="text-xs text-faint">{note}</span>}
  </div>
);

interface EmptyProps {
  icon?: IconName;
  title: ReactNode;
  children?: ReactNode;
  actions?: ReactNode;
}

/** Nothing here yet: what it would be, and how to make one. */
export const Empty = ({ icon = "box", title, children, actions }: EmptyProps) => (
  <div className="flex flex-col items-center gap-2 px-6 py-12 text-center">
    <span className="mb-1 inline-flex size-10 items-center justify-center rounded-lg border border-line bg-raised text-muted">
      <Icon name={icon} size={18} />
    </span>
    <h2 className="text-base font-semibold">{title}</h2>
    {children && <div className="max-w-lg text-sm text-muted">{children}</div>}
    {actions && <div className="mt-2 flex flex-wrap justify-center gap-2">{actions}</div>}
  </div>
);

const CALLOUT = {
  info: { look: "border-info/40 bg-info-soft", text: "text-info", icon: "info" },
  warn: { look: "border-warn/40 bg-warn-soft", text: "text-warn", icon: "alert" },
  bad: { look: "border-bad/40 bg-bad-soft", text: "text-bad", icon: "error" },
  ok: { look: "border-ok/40 bg-ok-soft", text: "text-ok", icon: "ok" },
} as const;

export function Callout({ tone = "info", title, children }: { tone?: keyof typeof CALLOUT; title?: ReactNode; children?: ReactNode }) {
  const { look, text, icon } = CALLOUT[tone];
  return (
    <div role={tone === "bad" ? "alert" : undefined} className={cx("flex gap-2.5 rounded-md border px-3 py-2", look)}>
      <Icon name={icon} className={cx("mt-0.5", text)} />
      <div className="min-w-0 flex-1 text-sm break-words">
        {title && <p className="font-medium">{title}</p>}
        {children}
      </div>
    </div>
  );
}

export const Skeleton = ({ className }: { className?: string }) => (
  <span aria-hidden className={cx("block animate-pulse rounded-md bg-raised", className ?? "h-4 w-full")} />
);

/** The shape of what is coming. */
export const Loading = ({ lines = 6 }: { lines?: number }) => (
  <div role="status" aria-label={t("loading")} className="flex flex-col gap-2.5 p-4">
    {Array.from({ length: lines }, (_, index) => (
      <Skeleton key={index} className={cx("h-4", index % 3 === 2 ? "w-2/3" : "w-full")} />
    ))}
  </div>
);

interface BoundaryProps {
  children: ReactNode;
  onError?: (error: Error, component: string) => void;
  /** When this changes, what failed is tried again. */
  resetKey?: string;
  /** What is said to have failed. */
  title?: string;
}

/** Keeps a failure where it happened. */
export class ErrorBoundary extends Component<BoundaryProps, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: unknown): { error: Error } {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override componentDidCatch(error: Error, info: ErrorInfo): void {
    this.props.onError?.(error, info.componentStack ?? "");
  }

  override componentDidUpdate(previous: BoundaryProps): void {
    if (this.state.error && previous.resetKey !== this.props.resetKey) this.setState({ error: null });
  }

  override render(): ReactNode {
    if (!this.state.error) return this.props.children;
    return <Failure error={this.state.error} title={this.props.title} onRetry={() => this.setState({ error: null })} />;
  }
}

interface FailureProps {
  error: Error;
  /** What failed; it says so itself where the API refused. */
  title?: string | undefined;
  onRetry?: () => void;
}

/** A failure of ours, or what the API refused: that is no failure, and says what can be done. */
export function Failure({ error, title, onRetry }: FailureProps) {
  const refused = "status" in error && typeof error.status === "number" ? refusalOf(error.status) : null;
  return (
    <div role="alert">
      <Empty
        icon={refused?.icon ?? "alert"}
        title={refused ? t(refused.title) : (title ?? t("crashed"))}
        actions={
          onRetry && (
            <Button icon="refresh" onClick={onRetry}>
              {t("tryAgain")}
            </Button>
          )
        }
      >
        {refused ? (
          <>
            <p className="break-words first-letter:uppercase">{error.message}.</p>
            {refused.hint && <p className="mt-2">{t(refused.hint)}</p>}
          </>
        ) : (
          <>
            <p>{t("crashedHint")}</p>
            <p className="mt-2 font-mono text-xs break-words text-bad">{error.message}</p>
          </>
        )}
      </Empty>
    </div>
  );
}

/** By the status of the answer; 0: there was none. */
function refusalOf(status: number) {
  if (status === 0) return { icon: "offline", title: "unreachable" } as const;
  if (status === 401 || status === 403) return { icon: "shield", title: "forbidden", hint: "forbiddenHint" } as const;
  if (status === 404 || status === 410) return { icon: "search", title: "absent", hint: "absentHint" } as const;
  return { icon: "alert", title: "refused", hint: status >= 500 ? "refusedHint" : undefined } as const;
}
