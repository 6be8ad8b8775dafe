import { ApiError, request, sessionEnded, tell } from "@ironworks/sdk";
import { Button, Callout, Field, Page, PasswordInput, Section } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { t } from "./words.ts";

export default function Password() {
  const [current, setCurrent] = useState("");
  const [fresh, setFresh] = useState("");
  const [repeated, setRepeated] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const differs = repeated !== "" && repeated !== fresh;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await request("/api/v1/auth:change-password", { method: "POST", body: { current_password: current, new_password: fresh } });
      sessionEnded();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  const problemOf = (field: string) => (error instanceof ApiError ? error.problemOf(field) : undefined);
  const apart = error !== null && !problemOf("new_password") && !problemOf("current_password");
  return (
    <Page title={t("password")}>
      <Section className="max-w-lg" title={t("change")} hint={t("passwordHint")}>
        <form className="flex flex-col gap-4" onSubmit={(event) => void submit(event)}>
          <Field label={t("current")} problem={problemOf("current_password")}>
            {(ids) => <PasswordInput {...ids} autoComplete="current-password" required value={current} onChange={(event) => setCurrent(event.target.value)} />}
          </Field>
          <Field label={t("fresh")} hint={t("freshHint")} problem={problemOf("new_password")}>
            {(ids) => <PasswordInput {...ids} autoComplete="new-password" required minLength={12} value={fresh} onChange={(event) => setFresh(event.target.value)} />}
          </Field>
          <Field label={t("repeat")} problem={differs ? t("differs") : undefined}>
            {(ids) => <PasswordInput {...ids} autoComplete="new-password" required value={repeated} onChange={(event) => setRepeated(event.target.value)} />}
          </Field>
          {apart && <Callout tone="bad">{tell(error)}</Callout>}
          <div>
            <Button type="submit" look="primary" busy={busy} disabled={fresh !== repeated || fresh === ""}>
              {t("change")}
            </Button>
          </div>
        </form>
      </Section>
    </Page>
  );
}
