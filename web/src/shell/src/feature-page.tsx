/** One page of a feature: matched by its manifest, gated, loaded, and kept apart from everything else. */
import { Link, PlaceProvider, holdsWithin, pageAddress, reportError, useBootstrap, useCan } from "@ironworks/sdk";
import type { Bootstrap, FeatureDefinition, FeatureManifest } from "@ironworks/sdk";
import { Empty, ErrorBoundary, Failure, Loading, buttonClass } from "@ironworks/ui";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import type { ComponentType, ReactNode } from "react";

import { NoScope, NotFound } from "./not-found.tsx";
import { isEnabled, knownFeatures, loadFeature, matchRoute, mayUse } from "./registry.ts";
import type { KnownFeature, Match } from "./registry.ts";
import { usePageAddress } from "./place.ts";
import { visibleScopes } from "./scopes.tsx";
import { t } from "./words.ts";

export function FeaturePage() {
  const { scope, feature: id, path } = usePageAddress();
  const bootstrap = useBootstrap();
  const feature = knownFeatures(bootstrap).get(id);
  const match = feature ? matchRoute(feature.manifest, path) : null;
  if (!isVisible(bootstrap, scope)) return <NoScope scope={scope} />;
  if (!feature || !match) return <NotFound />;
  if (!isEnabled(bootstrap, feature.manifest)) return <SwitchedOff feature={feature.manifest.display_name} scope={scope} />;
  const { permission } = match.route;
  if (!mayUse(bootstrap, feature.manifest, scope) || (permission && !holdsWithin(bootstrap, permission, scope))) return <NotFound />;
  return <OpenPage key={id} feature={feature} match={match} scope={scope} />;
}

/** Reached by an address from elsewhere: what it is, and who could bring it back. */
function SwitchedOff({ feature, scope }: { feature: string; scope: string }) {
  const mayTurnOn = useCan()("platform:update", scope);
  return (
    <Empty
      icon="plug"
      title={t("featureOff", { feature })}
      actions={
        <>
          {mayTurnOn && (
            <Link to={pageAddress(scope, "settings", "features")} className={buttonClass("primary")}>
              {t("toFeatures")}
            </Link>
          )}
          <Link to={`/s/${scope}`} className={buttonClass("normal")}>
            {t("goHome")}
          </Link>
        </>
      }
    >
      {t(mayTurnOn ? "featureOffYours" : "featureOffHint")}
    </Empty>
  );
}

/** A scope that the caller cannot see looks like one that does not exist. */
const isVisible = (bootstrap: Bootstrap, scope: string): boolean =>
  visibleScopes(bootstrap).some((one) => one.path === scope) || (bootstrap.more_scopes && scope !== "-");

function OpenPage({ feature, match, scope }: { feature: KnownFeature; match: Match; scope: string }) {
  const { manifest } = feature;
  const { title, page } = match.route;
  const code = useQuery({
    queryKey: ["feature", manifest.id, page],
    queryFn: () => loadPage(feature, page),
    staleTime: Infinity,
    gcTime: Infinity,
    retry: false,
  });
  useEffect(() => {
    document.title = `${Object.values(match.params).at(-1) ?? title} · ${scope === "-" ? t("product") : scope} · Ironworks`;
  }, [title, match, scope]);
  const definition = code.data?.definition;
  useEffect(() => {
    void definition?.onActivate?.();
    return () => void definition?.onDeactivate?.();
  }, [definition]);
  useEffect(() => {
    if (code.error) reportError(code.error, { feature: manifest.id });
  }, [code.error, manifest.id]);
  const paramText = JSON.stringify(match.params);
  const place = useMemo(() => ({ scope, feature: manifest.id, params: JSON.parse(paramText) as Record<string, string> }), [scope, manifest.id, paramText]);

  if (code.error) return <Failure error={code.error} title={t("featureFailed", { feature: manifest.display_name })} onRetry={() => void code.refetch()} />;
  if (!code.data) return <Loading />;
  const { Component } = code.data;
  return (
    <ErrorBoundary
      title={t("featureCrashed", { feature: manifest.display_name })}
      resetKey={`${scope} ${page} ${paramText}`}
      onError={(error, component) => reportError(error, { feature: manifest.id, component })}
    >
      <PlaceProvider value={place}>
        <Providers definition={code.data.definition} manifest={manifest}>
          <Component key={`${scope} ${page} ${paramText}`} />
        </Providers>
      </PlaceProvider>
    </ErrorBoundary>
  );
}

async function loadPage(feature: KnownFeature, page: string): Promise<{ definition: FeatureDefinition; Component: ComponentType }> {
  const definition = await loadFeature(feature);
  const open = definition.pages[page];
  if (!open) throw new Error(t("noPage", { page }));
  const { default: Component } = await open();
  return { definition, Component };
}

/** The feature's own providers, outermost first. */
function Providers({ definition, manifest, children }: { definition: FeatureDefinition; manifest: FeatureManifest; children: ReactNode }) {
  return (manifest.providers ?? []).reduceRight<ReactNode>((inner, name) => {
    const Provider = definition.providers?.[name];
    return Provider ? <Provider>{inner}</Provider> : inner;
  }, children);
}
