/** Accounts with money of their own, for stories: usage that was measured elsewhere, and a closed period. */
import { until } from "./until.mjs";

/** An account with a tenant that used a GPU for 7 USD; the id of that usage. Asked again, it changes nothing. */
export async function spend(api, account) {
  const make = (scope, plural, name) => api("POST", `/api/v1/scopes/${scope}/${plural}/${name}:apply`, { metadata: { name }, spec: {} });
  await make("-", "accounts", account);
  await make(account, "platforms", "shop");
  await make(`${account}.shop`, "tenants", "eu");
  return use(api, account, account);
}

/** Seven dollars' worth of a GPU at the account's tenant, once by its name; the id of that usage. */
export async function use(api, account, id) {
  const data = { quantities: { gpu_seconds: 10_000 }, dimensions: { sku: "h100" } };
  const event = { specversion: "1.0", type: "ironworks.usage.v1", source: "/stories", id, subject: `${account}.shop.eu`, time: new Date().toISOString(), data };
  const { items } = await api("POST", "/api/v1/usage", { events: [event] });
  return items[0].event_id;
}

const moneyOf = async (api, account) => (await api("GET", `/api/v1/scopes/${account}/invoices`)).items;

/** Closes what the account used so far, which a worker does; its first invoice. */
export async function invoiced(api, account) {
  if ((await moneyOf(api, account)).length === 0) {
    await until(async () => (await api("GET", `/api/v1/scopes/${account}/balance`)).unbilled.some((money) => money.nano > 0));
    await close(api, account);
  }
  return (await until(() => moneyOf(api, account), (invoices) => invoices.some((invoice) => invoice.number !== null))).at(-1);
}

/** Asks for a close of all that was charged until now; again while another is under way, say the daily one of a fresh installation. */
export async function close(api, account) {
  const tomorrow = () => new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  await until(() => api("POST", `/api/v1/scopes/${account}/closes`, { until: tomorrow() }));
}

/** What `spend` made goes, as far as it can; the books stay. */
export async function forget(api, account) {
  await api("DELETE", `/api/v1/scopes/${account}.shop/tenants/eu`).catch(() => undefined);
  await api("DELETE", `/api/v1/scopes/${account}/platforms/shop`).catch(() => undefined);
}

/** The pages of money, of an account that has an invoice, by name. */
export async function moneyPages(api, account) {
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
