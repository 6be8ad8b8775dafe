/** Every page of money, of an account that has an invoice. */
import { lookAtAll } from "../looking.mjs";
import { forget, invoiced, spend } from "../money.mjs";

export default async function (stage) {
  const { api, shots } = stage;
  // books stay, so each run needs an account of its own; pictures are taken of a new installation, and show its name
  const account = shots ? "pages-money" : `pages-${Date.now().toString(36)}`;
  await lookAtAll(stage, "money-pages", await pagesOf(api, account));
  await forget(api, account);
}

/** The pages by name, of what the account has once this is done. */
async function pagesOf(api, account) {
  await spend(api, account);
  const { number } = await invoiced(api, account);
  const [line] = (await api("GET", `/api/v1/invoices/${number}/lines`)).items;
  const [transfer] = (await api("GET", `/api/v1/scopes/${account}/transfers?kind=usage`)).items;
  await api("POST", `/api/v1/scopes/${account}/credits`, { amount: "25", source: "promotion", reference: "welcome" });
  const at = `/s/${account}/billing`;
  return {
    billing: at,
    invoices: `${at}/invoices`,
    invoice: `${at}/invoices/${number}`,
    "invoice-document": `${at}/invoices/${number}?tab=document`,
    "invoice-line": `${at}/invoices/${number}/lines/${line.id}`,
    plan: `${at}/plan`,
    payment: `${at}/payment`,
    credit: `${at}/credit`,
    ledger: `${at}/ledger`,
    "ledger-accounts": `${at}/ledger?tab=accounts`,
    transfer: `${at}/ledger/${transfer.id}`,
    prices: `${at}/prices`,
    price: `${at}/prices/versions?meter=gpu_seconds`,
    "price-new": `${at}/prices/new?meter=gpu_seconds&price=0.001/one`,
    terms: `${at}/prices?tab=terms`,
    "terms-of": `${at}/prices/terms?meter=gpu_seconds&of=${account}`,
    "terms-new": `${at}/prices/terms/new?meter=gpu_seconds`,
    revenue: "/s/-/billing",
    plans: "/s/-/billing/plan",
    "plan-new": "/s/-/billing/plan/new",
    "plan-versions": "/s/-/billing/plans/growth",
    "plan-version-new": "/s/-/billing/plans/growth/new",
    differences: "/s/-/billing/differences",
  };
}
