/** What the installation's mails bring, read as the operator. */
import { until } from "./until.mjs";

/** The token that the newest mail to somebody brings, once it is there; `prefix` says what it is for. */
export const mailed = (api, email, prefix) =>
  until(async () => {
    const { items } = await api("GET", `/api/v1/mails?recipient=${encodeURIComponent(email)}`);
    return items.map(({ body }) => new RegExp(`/link#(${prefix}[0-9A-Za-z]+)`).exec(body ?? "")?.[1]).find(Boolean);
  });
