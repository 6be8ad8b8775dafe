/** How one version of a plan differs from another: what it said, struck out, and what it says. */
import type { Change } from "./plan-draft.ts";

export const Changes = ({ changes }: { changes: readonly Change[] }) => (
  <ul className="flex flex-col divide-y divide-line">
    {changes.map(({ what, before, after }) => (
      <li key={what} className="flex flex-wrap items-baseline justify-between gap-x-4 py-1.5 text-sm">
        <span className="text-muted">{what}</span>
        <span className="nums">
          {before && <del className="mr-2 text-faint">{before}</del>}
          {after ? <ins className="font-medium no-underline">{after}</ins> : <span className="text-faint">–</span>}
        </span>
      </li>
    ))}
  </ul>
);
