/** The price book as it counts here, every version of it, and who has terms of their own. */
import { Link, live, pageAddress, useCan, usePages, usePlace, useQueryWord, useTable } from "@ironworks/sdk";
import { Choice, DataTable, Empty, Page, Tabs, buttonClass } from "@ironworks/ui";
import type { Column } from "@ironworks/ui";
import { useState } from "react";

import { withEnds, wordsOf } from "./book.ts";
import { PRICE, TERMS, TERMS_VALIDITY, VALIDITY, forWhat } from "./book-columns.tsx";
import type { Price, Terms } from "./types.ts";
import { t } from "./words.ts";

type Listed = Terms & { valid_to: string | null };

const COLUMNS: Column<Price>[] = [...forWhat<Price>(), ...PRICE, ...VALIDITY];
const TERMS_COLUMNS: Column<Listed>[] = [...forWhat<Listed>(), TERMS, ...TERMS_VALIDITY];

export default function Prices() {
  const { scope } = usePlace();
  const can = useCan();
  const [tab, setTab] = useQueryWord("tab", "prices");
  const terms = tab === "terms";
  const add = can("price:create", "-") && (
    <Link to={pageAddress(scope, "billing", terms ? "prices/terms/new" : "prices/new")} className={buttonClass("primary")}>
      {t(terms ? "setTerms" : "setPrice")}
    </Link>
  );
  return (
    <Page fill title={t("prices")} actions={add}>
      <Tabs
        label={t("prices")}
        value={tab}
        onChange={setTab}
        tabs={[
          { id: "prices", label: t("prices"), content: <Book /> },
          { id: "terms", label: t("terms"), content: <TermsList /> },
        ]}
      />
    </Page>
  );
}

function Book() {
  const { scope } = usePlace();
  const [which, setWhich] = useQueryWord("which", "here");
  const [opened] = useState(() => new Date().toISOString());
  const list = usePages<Price>("/api/v1/prices", which === "here" ? { scope, at: opened } : { scope }, { limit: 200, ...live(scope, "prices") });
  const table = useTable(list, (row) => pageAddress(scope, "billing", "prices/versions", wordsOf(row)));
  return (
    <div className="flex h-full min-h-0 flex-col gap-3">
      <div>
        <Choice
          label={t("pricesWhich")}
          value={which}
          onChange={setWhich}
          options={[{ value: "here", label: t("pricesHere") }, { value: "all", label: t("pricesAll") }]}
        />
      </div>
      <DataTable
        label={t("prices")}
        {...table}
        columns={COLUMNS}
        rowKey={(row) => row.id}
        empty={
          <Empty icon="money" title={t("noPrices")}>
            {t("noPricesHint")}
          </Empty>
        }
      />
    </div>
  );
}

function TermsList() {
  const { scope } = usePlace();
  const list = usePages<Terms>("/api/v1/price-terms", scope === "-" ? {} : { scope }, { limit: 200, ...live(scope, "prices") });
  const table = useTable({ ...list, items: withEnds(list.items) }, (row) => pageAddress(scope, "billing", "prices/terms", wordsOf(row)));
  return (
    <DataTable
      label={t("terms")}
      {...table}
      columns={TERMS_COLUMNS}
      rowKey={(row) => row.id}
      empty={
        <Empty icon="sliders" title={t("noTerms")}>
          {t("noTermsHint")}
        </Empty>
      }
    />
  );
}
