/** Every version of the terms of one meter, model and scope. */
import { Link, live, pageAddress, useCan, usePages, usePlace, useQueryString, useTable } from "@ironworks/sdk";
import { DataTable, Empty, Page, buttonClass, words } from "@ironworks/ui";

import { isOf, keyFrom, standOf, withEnds, wordsOf } from "./book.ts";
import { TERMS, TERMS_VALIDITY, beginningFirst } from "./book-columns.tsx";
import { keyWords } from "./parts.tsx";
import type { Terms } from "./types.ts";
import { t } from "./words.ts";

const COLUMNS = beginningFirst(TERMS_VALIDITY, [TERMS]);

export default function TermsVersions() {
  const { scope } = usePlace();
  const [params] = useQueryString();
  const key = keyFrom(params);
  const may = useCan()("price:create", "-");
  const list = usePages<Terms>("/api/v1/price-terms", { scope: key.scope, meter: key.meter }, { limit: 200, ...live(key.scope, "prices") });
  const versions = withEnds(list.items.filter((terms) => isOf(terms, key))).reverse();
  const table = useTable({ ...list, items: versions });
  const write = (words: Record<string, string>) => pageAddress(scope, "billing", "prices/terms/new", { ...wordsOf(key), ...words });
  const actions = may && (
    <>
      {versions.some((terms) => standOf(terms) === "inForce") && (
        <Link to={write({ do: "withdraw" })} className={buttonClass("normal")}>
          {t("withdrawPriceAction")}
        </Link>
      )}
      <Link to={write({})} className={buttonClass("primary")}>
        {t("newPriceVersion")}
      </Link>
    </>
  );
  return (
    <Page fill title={t("versionsOfTerms", { meter: words(key.meter) })} meta={<span className="text-sm text-muted">{keyWords(key)}</span>} actions={actions}>
      <p className="max-w-prose text-sm text-muted">{t("termsNeverRemoved")}</p>
      <DataTable label={t("versionsOfBook")} {...table} columns={COLUMNS} rowKey={(row) => row.id} empty={<Empty icon="sliders" title={t("noSuchPrice")} actions={actions} />} />
    </Page>
  );
}
