import { callAs } from "@ironworks/sdk";
import { CodeBlock, Dialog, Tabs } from "@ironworks/ui";
import { useState } from "react";

import { t } from "./words.ts";

/** The same call, to be taken into a program. */
export function Code({ base, body, embeds, onClose }: { base: string; body: Record<string, unknown>; embeds?: boolean; onClose: () => void }) {
  const [language, setLanguage] = useState("curl");
  return (
    <Dialog open wide onClose={onClose} title={t("codeTitle")}>
      <p className="mb-3 text-sm text-muted">{t("codeHint")}</p>
      <Tabs
        label={t("codeTitle")}
        value={language}
        onChange={setLanguage}
        tabs={callAs({ base, operation: embeds ? "embeddings" : "chat/completions", body }).map(({ id, label, text }) => ({
          id, label, content: <CodeBlock label={label} text={text} />,
        }))}
      />
    </Dialog>
  );
}
