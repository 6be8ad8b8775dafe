/** What a write would change, field by field, before it is made. */
import type { Applied } from "@ironworks/sdk";
import { Button, Callout, Dialog } from "@ironworks/ui";

import { inLine, leaves } from "./difference.ts";
import { t } from "./words.ts";

interface ChangesProps {
  applied: Applied;
  busy: boolean;
  problem: string;
  onClose: () => void;
  onApply: () => void;
}

export function Changes({ applied, busy, problem, onClose, onApply }: ChangesProps) {
  const diff = leaves(applied.diff);
  return (
    <Dialog open wide onClose={onClose} title={t("reviewTitle")}>
      <div className="flex flex-col gap-3">
        {diff.length === 0 && <p className="text-sm text-muted">{t("nothingChanges")}</p>}
        <ul className="divide-y divide-line">
          {diff.map(({ field, from, to }) => (
            <li key={field} className="grid gap-x-4 gap-y-1 py-2 md:grid-cols-[14rem_minmax(0,1fr)]">
              <span className="font-mono text-xs break-all text-muted">{field}</span>
              <span className="min-w-0 font-mono text-xs break-all">
                <del className="rounded-sm bg-bad-soft px-1 no-underline">{inLine(from)}</del>
                <span aria-hidden> → </span>
                <ins className="rounded-sm bg-ok-soft px-1 no-underline">{inLine(to)}</ins>
              </span>
            </li>
          ))}
        </ul>
        {problem && <Callout tone="bad">{problem}</Callout>}
        <footer className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("back")}</Button>
          <Button look="primary" busy={busy} disabled={diff.length === 0} onClick={onApply}>
            {t("apply")}
          </Button>
        </footer>
      </div>
    </Dialog>
  );
}
