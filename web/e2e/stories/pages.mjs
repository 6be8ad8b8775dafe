/** Every page but those of money, which `money-pages` looks at. */
import { lookAtAll } from "../looking.mjs";

const AT = "/s/demo.app.dev";
const PAGES = {
  overview: `${AT}/overview`,
  installation: "/s/-/overview",
  resources: `${AT}/resources`,
  list: `${AT}/resources/endpoints`,
  "list-empty": `${AT}/resources/trace-policies`,
  roles: "/s/-/resources/roles",
  detail: `${AT}/resources/endpoints/demo.app.dev/smollm2`,
  yaml: `${AT}/resources/endpoints/demo.app.dev/smollm2?tab=yaml`,
  history: `${AT}/resources/endpoints/demo.app.dev/smollm2?tab=history`,
  new: `${AT}/resources/endpoints/new`,
  endpoints: `${AT}/endpoints`,
  endpoint: `${AT}/endpoints/demo.app.dev/smollm2`,
  call: `${AT}/endpoints/demo.app.dev/smollm2?tab=call&in=python`,
  logs: `${AT}/endpoints/demo.app.dev/smollm2?tab=logs`,
  metrics: `${AT}/endpoints/demo.app.dev/smollm2?tab=metrics`,
  deploy: `${AT}/endpoints/new`,
  playground: `${AT}/playground?with=smollm2`,
  embeddings: `${AT}/playground/embeddings`,
  routes: `${AT}/routing/routes`,
  route: `${AT}/routing/routes/demo.app.dev/pages-route`,
  "route-edit": `${AT}/routing/routes/demo.app.dev/pages-route/edit`,
  "route-new": `${AT}/routing/routes/new`,
  providers: `${AT}/routing/providers`,
  provider: `${AT}/routing/providers/demo.app.dev/pages-provider`,
  "provider-edit": `${AT}/routing/providers/demo.app.dev/pages-provider/edit`,
  "provider-new": `${AT}/routing/providers/new`,
  "form-route": `${AT}/resources/routes/new`,
  budgets: `${AT}/budgets`,
  budget: `${AT}/budgets/demo.app.dev/pages-budget`,
  "budget-new": `${AT}/budgets/new`,
  requests: `${AT}/requests`,
  keys: `${AT}/keys`,
  key: `${AT}/keys/demo.app.dev/demo`,
  members: `${AT}/members`,
  "members-below": "/s/demo/members?show=below",
  "members-invited": `${AT}/members?show=invited`,
  "member-roles": `${AT}/members/roles`,
  role: `${AT}/members/roles/-/developer`,
  "role-new": `${AT}/members/roles/new?like=-/developer`,
  access: `${AT}/members/access`,
  "access-why": `${AT}/members/access?subject=service-account:demo.app.dev/demo&permission=endpoint:create`,
  "access-why-not": `${AT}/members/access?subject=service-account:demo.app.dev/demo&permission=budget:create`,
  audit: `${AT}/audit`,
  "audit-all": "/s/-/audit?range=all&result=ok",
  system: "/s/-/system",
  "dead-letters": "/s/-/system/dead-letters",
  "set-aside": "/s/-/system/set-aside",
  usage: `${AT}/usage?range=hour`,
  preferences: `${AT}/settings`,
  profile: `${AT}/settings/profile`,
  password: `${AT}/settings/password`,
  sessions: `${AT}/settings/sessions`,
  features: `${AT}/settings/features`,
};

/** What pages of single things are shown of. */
const MADE = [
  ["api-keys", "pages-key", {}],
  ["external-endpoints", "pages-provider", { upstreams: [{ name: "main", url: "https://nobody.invalid/v1", auth: { credential: "none" }, model_mapping: { "gpt-4o": "gpt-4o" } }] }],
  ["routes", "pages-route", { model: "pages/best", cache: {}, targets: [{ external: "pages-provider", model: "gpt-4o", weight: 3, timeout_seconds: 30 }, { endpoint: "smollm2" }] }],
  ["budgets", "pages-budget", { amount: "25", period: "month", key: "pages-key" }],
];
const placeOf = ([plural, name]) => `/api/v1/scopes/demo.app.dev/${plural}/${name}`;

export default async function (stage) {
  const { api } = stage;
  const { items } = await api("GET", "/api/v1/scopes/demo.app.dev/usage/requests?limit=1");
  for (const made of MADE) await api("POST", `${placeOf(made)}:apply`, { metadata: { name: made[1] }, spec: made[2] });
  await lookAtAll(stage, "pages", { ...PAGES, request: `${AT}/requests/${items[0].request_id}` });
  for (const made of [...MADE].reverse()) await api("DELETE", placeOf(made));
}
