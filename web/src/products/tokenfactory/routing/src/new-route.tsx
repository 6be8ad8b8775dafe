/** A route from nothing; `target` in the address says what it begins with. */
import { createResource, useGo, usePlace, useQueryWord, useRemember, useWriting } from "@ironworks/sdk";
import { Button, Page, notify } from "@ironworks/ui";
import { useState } from "react";

import { leadTo } from "./options.ts";
import { RouteForm } from "./route-form.tsx";
import { ROUTES, routeAddress } from "./types.ts";
import type { RouteSpec } from "./types.ts";
import { t } from "./words.ts";

export default function NewRoute() {
  const { scope } = usePlace();
  const go = useGo();
  const remember = useRemember();
  const [target] = useQueryWord("target");
  const [name, setName] = useState("");
  const [spec, setSpec] = useState<RouteSpec>(() => ({ strategy: "weighted", targets: [target ? leadTo({ weight: 1 }, target) : { weight: 1 }] }));
  const { busy, failure, run } = useWriting();
  const create = () =>
    run(async () => {
      const made = await createResource(ROUTES, scope, { api_version: "v1", kind: "Route", metadata: { name }, spec: { ...spec } });
      remember(ROUTES, made);
      notify("ok", t("created", { name }));
      go(routeAddress(scope, made));
    });
  return (
    <Page title={t("newRoute")}>
      <RouteForm
        at={scope}
        name={{ value: name, onChange: setName }}
        spec={spec}
        onSpec={setSpec}
        failure={failure}
        onSubmit={() => void create()}
        actions={
          <Button type="submit" look="primary" busy={busy}>
            {t("create")}
          </Button>
        }
      />
    </Page>
  );
}
