/** From a model to an endpoint in one form. */
import { Link, api, createResource, freeName, kindAddress, levelOf, pageAddress, tell, unwrap, useBootstrap, useCan, useGo, usePlace, useQuery, useRemember, useResources } from "@ironworks/sdk";
import type { Resource } from "@ironworks/sdk";
import { Badge, Button, Callout, Empty, Field, Input, Loading, Page, Section, Switch, buttonClass, cx, formatBytes, notify } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { PLURAL } from "./types.ts";
import { t } from "./words.ts";

interface Offer {
  registry: string;
  name: string;
  version: string;
  task: string;
  size_bytes: number;
  license: string;
  description: string;
}

const REST_SECONDS = 600;

/** The models of every registry that can be read from here. */
function useOffers(scope: string) {
  const registries = useResources("model-registries", scope, { inherited: true });
  const names = registries.items.map(({ metadata }) => ({ at: metadata.scope, name: metadata.name }));
  const offers = useQuery({
    queryKey: ["offers", names],
    enabled: !registries.loading,
    staleTime: 60_000,
    queryFn: async () => {
      const lists = await Promise.allSettled(
        names.slice(0, 4).map(async ({ at, name }): Promise<Offer[]> => {
          const { items } = await unwrap(api.GET("/api/v1/scopes/{path}/model-registries/{name}/models", { params: { path: { path: at, name } } }));
          return items.map((item) => ({ ...item, registry: `${at}/${name}` }));
        }),
      );
      return lists.flatMap((list) => (list.status === "fulfilled" ? list.value : [])).sort(byTask);
    },
  });
  return { offers: offers.data ?? [], loading: registries.loading || offers.isPending, error: registries.error ?? offers.error };
}

export default function Deploy() {
  const { scope } = usePlace();
  const { offers, loading, error } = useOffers(scope);
  const present = useResources(PLURAL, scope);
  if (levelOf(scope) !== "tenant") return <WhichTenant scope={scope} />;
  return (
    <Page title={t("deploy")}>
      {error && <Callout tone="bad">{tell(error)}</Callout>}
      {loading || present.loading ? <Loading /> : offers.length === 0 ? <NoModels /> : <Form offers={offers} scope={scope} taken={namesAt(scope, present.items)} />}
    </Page>
  );
}

function NoModels() {
  const can = useCan();
  return (
    <Section>
      <Empty
        icon="library"
        title={t("noModels")}
        actions={
          can("model-registry:create", "-") && (
            <Link to={kindAddress("-", "model-registries")} className={buttonClass("primary")}>
              {t("registries")}
            </Link>
          )
        }
      >
        {t("noModelsHint")}
      </Empty>
    </Section>
  );
}

const MOST_TENANTS = 12;

/** Models are deployed in tenants: those below, to go on in. */
function WhichTenant({ scope }: { scope: string }) {
  const { scopes } = useBootstrap();
  const tenants = scopes.filter((one) => one.kind === "Tenant" && (scope === "-" || one.path.startsWith(`${scope}.`)));
  return (
    <Page title={t("deploy")}>
      <Section>
        <Empty
          icon="boxes"
          title={t("wrongLevel")}
          actions={tenants.slice(0, MOST_TENANTS).map((one) => (
            <Link key={one.path} to={pageAddress(one.path, "endpoints", "new")} className={buttonClass("normal")}>
              {one.path}
            </Link>
          ))}
        >
          {t(tenants.length > 0 ? "wrongLevelHint" : "noTenant")}
        </Empty>
      </Section>
    </Page>
  );
}

/** Models that write come first: they are what most people begin with. */
const byTask = (a: Offer, b: Offer) => Number(b.task === "text-generation") - Number(a.task === "text-generation") || a.name.localeCompare(b.name);

const nameOf = (offer: Offer): string => offer.name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

const namesAt = (scope: string, present: readonly Resource[]): string[] =>
  present.filter(({ metadata }) => metadata.scope === scope).map(({ metadata }) => metadata.name);

interface FormProps {
  offers: Offer[];
  scope: string;
  /** Names that endpoints here have already. */
  taken: readonly string[];
}

function Form({ offers, scope, taken }: FormProps) {
  const go = useGo();
  const remember = useRemember();
  const [chosen, setChosen] = useState<Offer | undefined>(offers[0]);
  const [name, setName] = useState(offers[0] ? freeName(nameOf(offers[0]), taken) : "");
  const [replicas, setReplicas] = useState(1);
  const [rests, setRests] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!chosen) return;
    setBusy(true);
    setProblem("");
    try {
      const made = await createResource(PLURAL, scope, {
        api_version: "v1",
        kind: "Endpoint",
        metadata: { name },
        spec: {
          model: { registry: chosen.registry, name: chosen.name, version: chosen.version },
          replicas: { num: replicas, ...(rests && { scale_to_zero_after_seconds: REST_SECONDS }) },
        },
      });
      remember(PLURAL, made);
      notify("ok", t("started", { name }));
      go(pageAddress(scope, "endpoints", `${scope}/${name}`));
    } catch (error) {
      setProblem(tell(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)} className="grid items-start gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(20rem,2fr)]">
      <Section title={t("chooseModel")} flush>
        <div role="radiogroup" aria-label={t("chooseModel")} className="divide-y divide-line">
          {offers.map((offer) => {
            const selected = chosen === offer;
            return (
              <div key={`${offer.registry} ${offer.name} ${offer.version}`}>
                <button
                  type="button"
                  role="radio"
                  aria-checked={selected}
                  onClick={() => {
                    setChosen(offer);
                    setName(freeName(nameOf(offer), taken));
                  }}
                  className={cx("flex w-full items-center gap-3 px-4 py-3 text-left", selected ? "bg-accent-soft" : "hover:bg-hover")}
                >
                  <span className={cx("size-3.5 shrink-0 rounded-full border", selected ? "border-4 border-accent" : "border-edge")} />
                  <span className="min-w-0 flex-1">
                    <span className="flex flex-wrap items-center gap-2 font-medium">
                      {offer.name}
                      <Badge tone="info">{offer.task}</Badge>
                    </span>
                    <span className="clip-line block text-xs text-muted">{offer.description || offer.version}</span>
                  </span>
                  <span className="nums text-right text-xs text-muted">
                    {offer.size_bytes > 0 && <span className="block">{formatBytes(offer.size_bytes)}</span>}
                    {offer.license}
                  </span>
                </button>
              </div>
            );
          })}
        </div>
      </Section>
      <Section title={t("deploy")}>
        <div className="flex flex-col gap-4">
          <Field label={t("name")} hint={t("nameHint")}>
            {(ids) => <Input {...ids} required pattern="[a-z0-9]([\-a-z0-9]{0,61}[a-z0-9])?" value={name} onChange={(event) => setName(event.target.value)} />}
          </Field>
          <Field label={t("replicas")} hint={t("replicasHint")}>
            {(ids) => <Input {...ids} type="number" min={1} max={64} value={replicas} onChange={(event) => setReplicas(Number(event.target.value))} />}
          </Field>
          <Switch checked={rests} onChange={setRests} label={t("sleep")} hint={t("sleepHint")} />
          {problem && (
            <Callout tone="bad">
              <span className="whitespace-pre-wrap">{problem}</span>
            </Callout>
          )}
          <Button type="submit" look="primary" busy={busy} disabled={!chosen || !name}>
            {t("deployAction", { name: name || t("model").toLowerCase() })}
          </Button>
          <Link to={kindAddress(scope, `${PLURAL}/new`)} className="text-center text-xs text-muted hover:text-ink hover:underline">
            {t("allSettings")}
          </Link>
        </div>
      </Section>
    </form>
  );
}
