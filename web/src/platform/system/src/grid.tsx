/** A short table in a section: a few rows that all are in sight. */
import { cx } from "@ironworks/ui";
import type { ReactNode } from "react";

export interface Head {
  label: string;
  right?: boolean;
  /** Left out on narrow screens. */
  secondary?: boolean;
}

export function Grid({ label, heads, rows, empty }: { label: string; heads: readonly Head[]; rows: { key: string; cells: ReactNode[] }[]; empty: string }) {
  if (rows.length === 0) return <p className="px-4 py-3 text-sm text-muted">{empty}</p>;
  const look = (head: Head | undefined) => cx("px-3 first:pl-4 last:pr-4", head?.right && "text-right nums", head?.secondary && "max-sm:hidden");
  return (
    <div className="thin-scroll overflow-x-auto">
      <table aria-label={label} className="w-full border-collapse text-sm">
        <thead>
          <tr className="border-b border-line text-left text-xs text-muted">
            {heads.map((head) => (
              <th key={head.label} scope="col" className={cx("py-1.5 font-medium whitespace-nowrap", look(head))}>
                {head.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="divide-y divide-line">
          {rows.map((row) => (
            <tr key={row.key}>
              {row.cells.map((cell, index) => (
                <td key={heads[index]?.label} className={cx("py-1.5", look(heads[index]))}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
