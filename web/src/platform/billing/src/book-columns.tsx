/** Columns of the price book's versions, of prices and of terms. */
import { Badge, Time, words } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";

import { standOf } from "./book.ts";
import { Day, modelWords, placeWords, priceWords } from "./parts.tsx";
import { termsLine } from "./terms.ts";
import type { Price, Terms } from "./types.ts";
import { t } from "./words.ts";

const TONES = { inForce: "ok", later: "info", over: "idle", withdrawn: "warn" } as const;

interface Versioned {
  valid_from: string;
  valid_to: string | null;
  withdrawn: boolean;
}

/** When a version counts; days of terms are UTC's and have no time. */
const validity = <T extends Versioned>(at: (moment: string) => React.ReactNode): Column<T>[] => [
  {
    id: "state", label: t("state"), width: "7rem", secondary: true, value: (row) => t(standOf(row)), options: [t("inForce"), t("later"), t("over"), t("withdrawn")],
    cell: (row) => <Badge tone={TONES[standOf(row)]}>{t(standOf(row))}</Badge>,
  },
  { id: "from", label: t("validFrom"), width: "8rem", secondary: true, value: (row) => Date.parse(row.valid_from), cell: (row) => at(row.valid_from) },
  {
    id: "to", label: t("validTo"), width: "8rem", secondary: true, value: (row) => (row.valid_to ? Date.parse(row.valid_to) : null),
    cell: (row) => (row.valid_to ? at(row.valid_to) : <span className="text-faint">{t("never")}</span>),
  },
];

export const VALIDITY: Column<Price>[] = validity((moment) => <Time at={moment} />);
export const TERMS_VALIDITY: Column<Terms & Versioned>[] = validity((day) => <Day day={day} />);

export const PRICE: Column<Price>[] = [
  {
    id: "price", label: t("price"), align: "right", width: "minmax(9rem, 1fr)", value: (row) => Number(row.unit_price),
    cell: (row) => (row.withdrawn ? <span className="text-faint">–</span> : priceWords(row)),
  },
  {
    id: "unit", label: t("perUnit"), align: "right", width: "minmax(9rem, 1fr)", secondary: true, value: (row) => Number(row.unit_price),
    cell: (row) => <span className="text-xs text-muted">{row.withdrawn ? "–" : `${row.unit_price} ${row.currency}`}</span>,
  },
];

/** What a version is for. */
export const forWhat = <T extends Pick<Price, "meter" | "model" | "scope">>(): Column<T>[] => [
  { id: "meter", label: t("meter"), width: "minmax(9rem, 1.4fr)", value: (row) => words(row.meter) },
  { id: "model", label: t("model"), width: "minmax(8rem, 1.2fr)", secondary: true, value: (row) => modelWords(row.model) },
  { id: "scope", label: t("scope"), secondary: true, value: (row) => placeWords(row.scope) },
];

export const TERMS: Column<Terms & Versioned> = { id: "terms", label: t("terms"), width: "minmax(12rem, 2fr)", value: termsLine };

/** For the versions of one key: when each began says which it is, on phones too. */
export function beginningFirst<T>(validity: readonly Column<T>[], rest: readonly Column<T>[]): Column<T>[] {
  const from = validity.filter(({ id }) => id === "from").map((column) => ({ ...column, secondary: false }));
  return [...from, ...validity.filter(({ id }) => id !== "from"), ...rest];
}
