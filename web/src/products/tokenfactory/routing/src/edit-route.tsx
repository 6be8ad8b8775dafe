/** A route's form; what will change is shown before it does. */
import { Link, tell, useGo, usePlace, useResource } from "@ironworks/sdk";
import { Button, Callout, Empty, Loading, Page, buttonClass } from "@ironworks/ui";
import { useState } from "react";

import { Changes } from "./changes.tsx";
import { RouteForm } from "./route-form.tsx";
import { ROUTES, publicName, routeAddress } from "./types.ts";
import type { Route, RouteSpec } from "./types.ts";
import { t } from "./words.ts";
import { useEditing } from "./writing.ts";

export default function EditRoute() {
  const { params } = usePlace();
  const { at = "-", name = "" } = params;
  const { data, error, isPending } = useResource(ROUTES, at, name);
  if (error) return <Callout tone="bad">{tell(error)}</Callout>;
  if (isPending) return <Loading />;
  if (!data) return <Empty icon="search" title={t("gone", { name })}>{t("goneHint")}</Empty>;
  return <Edit first={data as unknown as Route} />;
}

/** `first` as it was when editing began: others' changes are not mixed into what is written. */
function Edit({ first }: { first: Route }) {
  const { scope } = usePlace();
  const go = useGo();
  const [route] = useState(first);
  const [spec, setSpec] = useState<RouteSpec>(route.spec);
  const { busy, failure, review, leave, rehearse, apply } = useEditing(ROUTES, route, () => go(routeAddress(scope, route)));
  return (
    <Page title={t("editRoute", { name: publicName(route) })}>
      <RouteForm
        at={route.metadata.scope}
        spec={spec}
        onSpec={setSpec}
        failure={review ? null : failure}
        onSubmit={() => void rehearse(spec)}
        actions={
          <>
            <Link to={routeAddress(scope, route)} className={buttonClass("normal")}>
              {t("back")}
            </Link>
            <Button type="submit" look="primary" busy={busy}>
              {t("review")}
            </Button>
          </>
        }
      />
      {review && <Changes applied={review} busy={busy} problem={failure === null ? "" : tell(failure)} onClose={leave} onApply={() => void apply(spec)} />}
    </Page>
  );
}
