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
