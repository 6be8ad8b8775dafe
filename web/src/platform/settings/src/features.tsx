/** Which features a platform's console has. */
import { request, tell, useBootstrap, useCan, usePlace, useQueryClient } from "@ironworks/sdk";
import type { FeatureView } from "@ironworks/sdk";
import { Badge, Empty, Icon, Page, Section, Switch, notify } from "@ironworks/ui";
import { useState } from "react";

import { t } from "./words.ts";

export default function Features() {
  const { scope } = usePlace();
  const platform = scope.split(".").length >= 2 ? scope.split(".").slice(0, 2).join(".") : null;
  return (
    <Page title={t("features")}>
      {platform ? <Switches platform={platform} /> : <Empty icon="plug" title={t("features")}>{t("onlyPlatforms")}</Empty>}
    </Page>
  );
}

function Switches({ platform }: { platform: string }) {
  const { features } = useBootstrap();
  return (
    <>
      <p className="max-w-prose text-muted">{t("featuresHint", { platform })}</p>
      <Section className="max-w-3xl" flush>
        <ul className="divide-y divide-line">
          {features.map((feature) => (
            <li key={feature.manifest.id} className="flex items-center gap-3 px-4 py-2.5">
              <Icon name={feature.manifest.icon} className="text-faint" />
              <div className="min-w-0 flex-1">
                <FeatureSwitch feature={feature} platform={platform} />
              </div>
            </li>
          ))}
        </ul>
      </Section>
    </>
  );
}

function FeatureSwitch({ feature, platform }: { feature: FeatureView; platform: string }) {
  const { manifest, enabled } = feature;
  const client = useQueryClient();
  const can = useCan();
  const [busy, setBusy] = useState(false);
  const change = async (next: boolean) => {
    setBusy(true);
    try {
      await request(`/api/v1/scopes/${platform}/console/features/${manifest.id}`, { method: "PUT", body: { enabled: next } });
      await client.invalidateQueries({ queryKey: ["bootstrap"] });
      notify("ok", t("switched", { feature: manifest.display_name, state: t(next ? "on" : "off"), platform }));
    } catch (error) {
      notify("bad", tell(error));
    } finally {
      setBusy(false);
    }
  };
  if (manifest.always) {
    return (
      <div className="flex items-center justify-between gap-4">
        <span>
          <span className="block">{manifest.display_name}</span>
          <span className="block text-xs text-faint">{manifest.description}</span>
        </span>
        <Badge>{t("always")}</Badge>
      </div>
    );
  }
  return (
    <Switch
      checked={enabled}
      disabled={busy || !can("platform:update", platform)}
      onChange={(next) => void change(next)}
      label={manifest.display_name}
      hint={manifest.description}
    />
  );
}
