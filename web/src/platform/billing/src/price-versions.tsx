/** Every version of one price, and what can be done about it: add one, or withdraw it. None is ever removed. */
import { Link, live, pageAddress, useCan, usePages, usePlace, useQueryString, useTable } from "@ironworks/sdk";
import { DataTable, Empty, Page, buttonClass, words } from "@ironworks/ui";

import { draftOfPrice, isOf, keyFrom, showDraft, standOf, wordsOf } from "./book.ts";
import { PRICE, VALIDITY, beginningFirst } from "./book-columns.tsx";
import { keyWords } from "./parts.tsx";
import type { Price } from "./types.ts";
import { t } from "./words.ts";

const COLUMNS = beginningFirst(VALIDITY, PRICE);

export default function PriceVersions() {
  const { scope } = usePlace();
  const [params] = useQueryString();
  const key = keyFrom(params);
  const may = useCan()("price:create", "-");
  const list = usePages<Price>("/api/v1/prices", { scope: key.scope, meter: key.meter }, { limit: 200, ...live(key.scope, "prices") });
  const versions = list.items.filter((price) => isOf(price, key)).reverse();
  const table = useTable({ ...list, items: versions });
  const present = versions.find((price) => standOf(price) === "inForce");
  const write = (words: Record<string, string>) => pageAddress(scope, "billing", "prices/new", { ...wordsOf(key), ...words });
  const actions = may && (
    <>
      {present && (
        <Link to={write({ do: "withdraw" })} className={buttonClass("normal")}>
          {t("withdrawPriceAction")}
        </Link>
      )}
      <Link to={write({ price: present && !present.withdrawn ? showDraft(draftOfPrice(present.unit_price)) : "" })} className={buttonClass("primary")}>
        {t("newPriceVersion")}
      </Link>
    </>
  );
  return (
    <Page fill title={t("versionsOfPrice", { meter: words(key.meter) })} meta={<span className="text-sm text-muted">{keyWords(key)}</span>} actions={actions}>
      <p className="max-w-prose text-sm text-muted">{t("neverRemoved")}</p>
      <DataTable label={t("versionsOfBook")} {...table} columns={COLUMNS} rowKey={(row) => row.id} empty={<Empty icon="money" title={t("noSuchPrice")} actions={actions} />} />
    </Page>
  );
}
