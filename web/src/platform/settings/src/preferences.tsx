import { Choice, Page, Section, Switch, setPreferences, usePreferences } from "@ironworks/ui";

import { t } from "./words.ts";

export default function Preferences() {
  const { theme, density, utc } = usePreferences();
  return (
    <Page title={t("preferences")}>
      <Section className="max-w-2xl" title={t("preferences")} hint={t("preferencesHint")}>
        <div className="flex flex-col gap-5">
          <div className="flex flex-wrap items-center justify-between gap-3">
            <span>{t("theme")}</span>
            <Choice
              label={t("theme")}
              value={theme}
              onChange={(next) => setPreferences({ theme: next })}
              options={[
                { value: "system", label: t("system") },
                { value: "dark", label: t("dark") },
                { value: "light", label: t("light") },
              ]}
            />
          </div>
          <div className="flex flex-wrap items-center justify-between gap-3">
            <span>{t("density")}</span>
            <Choice
              label={t("density")}
              value={density}
              onChange={(next) => setPreferences({ density: next })}
              options={[
                { value: "compact", label: t("compact") },
                { value: "comfortable", label: t("comfortable") },
              ]}
            />
          </div>
          <Switch
            checked={utc}
            onChange={(next) => setPreferences({ utc: next })}
            label={t("utc")}
            hint={t("utcHint", { zone: Intl.DateTimeFormat().resolvedOptions().timeZone })}
          />
        </div>
      </Section>
    </Page>
  );
}
