/** What lies below a scope, as the tree it is, and making more of it. */
import { Link, api, createResource, holds, levelOf, pageAddress, permissionWord, tell, unwrap, useBootstrap, useCan, useGo, useQueryClient } from "@ironworks/sdk";
import type { Bootstrap, Kind, ScopeNode } from "@ironworks/sdk";
import { Button, Callout, Dialog, Empty, Field, Input, Phase, Section, notify } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { t } from "./words.ts";

const MOST = 40;

export function scopesBelow({ scopes }: Bootstrap, scope: string): ScopeNode[] {
  const own = scope === "-" ? scopes : scopes.filter((one) => one.path.startsWith(`${scope}.`));
  return [...own].sort((a, b) => (a.path.replaceAll(".", "\0") < b.path.replaceAll(".", "\0") ? -1 : 1));
}

/** The kinds of scopes that may be made right below `scope` by the caller. */
export const childKinds = (bootstrap: Bootstrap, scope: string): Kind[] =>
  bootstrap.kinds.filter((kind) => kind.node && kind.levels.includes(levelOf(scope)) && holds(bootstrap, `${permissionWord(kind.name)}:create`, scope));

const WORDS = { Account: "account", Platform: "platform", Tenant: "tenant" } as const;
type NodeKind = keyof typeof WORDS;
const isNodeKind = (name: string): name is NodeKind => name in WORDS;

export function Below({ scope, below, kinds }: { scope: string; below: ScopeNode[]; kinds: Kind[] }) {
  const { more_scopes } = useBootstrap();
  if (below.length === 0) return <NothingBelow scope={scope} kinds={kinds} />;
  const top = scope === "-" ? 1 : scope.split(".").length + 1;
  return (
    <Section title={t("below")} flush>
      <ul className="divide-y divide-line">
        {below.slice(0, MOST).map((one) => {
          const depth = one.path.split(".").length - top;
          return (
            <li key={one.path}>
              <Link
                to={pageAddress(one.path, "overview")}
                style={{ paddingLeft: `${16 + depth * 18}px` }}
                className="flex items-center gap-3 py-1.5 pr-4 hover:bg-hover"
              >
                <span className="clip-line min-w-0 flex-1">
                  <span className="font-medium">{one.path.split(".").at(-1)}</span>
                  {one.display_name && one.display_name !== one.path.split(".").at(-1) && <span className="ml-2 text-xs text-muted">{one.display_name}</span>}
                </span>
                <span className="text-xs text-faint max-sm:hidden">{t(WORDS[one.kind])}</span>
                <Phase phase={one.phase} quiet />
              </Link>
            </li>
          );
        })}
      </ul>
      {(below.length > MOST || more_scopes) && <p className="border-t border-line px-4 py-2 text-xs text-faint">{t("moreBelow")}</p>}
    </Section>
  );
}

const FIRST = { operator: ["firstAccount", "firstAccountHint"], account: ["firstPlatform", "firstPlatformHint"], platform: ["firstTenant", "firstTenantHint"], tenant: ["firstTenant", "firstTenantHint"] } as const;

function NothingBelow({ scope, kinds }: { scope: string; kinds: Kind[] }) {
  const [title, hint] = FIRST[levelOf(scope)];
  return (
    <Section>
      <Empty icon="boxes" title={t(title)} actions={<NewBelow kinds={kinds} scope={scope} primary />}>
        {t(hint)}
      </Empty>
    </Section>
  );
}

/** Buttons for what may be made below, each with its form. */
export function NewBelow({ kinds, scope, primary }: { kinds: Kind[]; scope: string; primary?: boolean }) {
  const [making, setMaking] = useState<Kind | null>(null);
  return (
    <>
      {kinds.map((kind) =>
        isNodeKind(kind.name) ? (
          <Button key={kind.name} icon="plus" look={primary ? "primary" : "normal"} onClick={() => setMaking(kind)}>
            {t("new", { kind: t(WORDS[kind.name]) })}
          </Button>
        ) : null,
      )}
      {making && isNodeKind(making.name) && <NewDialog kind={making} word={t(WORDS[making.name])} scope={scope} onClose={() => setMaking(null)} />}
    </>
  );
}

/** The account is there, whatever becomes of this: it is told and can be set on its billing pages. */
async function payIn(account: string, currency: string): Promise<void> {
  try {
    await unwrap(api.PUT("/api/v1/scopes/{path}/currency", { params: { path: { path: account } }, body: { currency, valid_from: null } }));
  } catch (error) {
    notify("bad", t("currencyRefused", { account, currency }), { detail: tell(error) });
  }
}

function NewDialog({ kind, word, scope, onClose }: { kind: Kind; word: string; scope: string; onClose: () => void }) {
  const go = useGo();
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [shown, setShown] = useState("");
  const [currency, setCurrency] = useState("");
  const pays = useCan()("price:create", "-") && kind.name === "Account";
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const path = scope === "-" ? name : `${scope}.${name}`;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      await createResource(kind.plural, scope, {
        api_version: "v1", kind: kind.name, metadata: { name, ...(shown && { display_name: shown }) }, spec: {},
      });
      await client.invalidateQueries({ queryKey: ["bootstrap"] });
      notify("ok", t("made", { path }));
      if (currency) await payIn(path, currency);
      go(pageAddress(path, "overview"));
    } catch (error) {
      setProblem(tell(error));
      setBusy(false);
    }
  };
  return (
    <Dialog open onClose={onClose} title={t("newTitle", { kind: word })}>
      <form className="flex flex-col gap-4" onSubmit={(event) => void submit(event)}>
        <p className="text-sm text-muted">{kind.description}</p>
        <Field label={t("name")} hint={t("nameHint", { path: name ? path : scope === "-" ? "…" : `${scope}.…` })}>
          {(ids) => (
            <Input {...ids} required autoComplete="off" spellCheck={false} pattern="[a-z0-9]([\-a-z0-9]{0,61}[a-z0-9])?" value={name} onChange={(event) => setName(event.target.value)} />
          )}
        </Field>
        <Field label={t("displayName")} optional={t("optional")}>
          {(ids) => <Input {...ids} autoComplete="off" value={shown} onChange={(event) => setShown(event.target.value)} />}
        </Field>
        {pays && (
          <Field label={t("currency")} hint={t("currencyHint")} optional={t("optional")}>
            {(ids) => (
              <Input {...ids} pattern="[A-Z]{3}" maxLength={3} autoComplete="off" spellCheck={false} value={currency} onChange={(event) => setCurrency(event.target.value.toUpperCase())} />
            )}
          </Field>
        )}
        {problem && <Callout tone="bad">{problem}</Callout>}
        <Button type="submit" look="primary" busy={busy}>
          {t("new", { kind: word })}
        </Button>
      </form>
    </Dialog>
  );
}
