import { Link } from "@ironworks/sdk";
import { Empty, buttonClass } from "@ironworks/ui";

import { t } from "./words.ts";

export const NotFound = () => <Nothing title={t("notFound")} hint={t("notFoundHint")} />;

export const NoScope = ({ scope }: { scope: string }) => <Nothing title={t("noScope", { scope })} hint={t("noScopeHint")} />;

const Nothing = ({ title, hint }: { title: string; hint: string }) => (
  <Empty
    icon="search"
    title={title}
    actions={
      <Link to="/" className={buttonClass("normal")}>
        {t("goHome")}
      </Link>
    }
  >
    {hint}
  </Empty>
);
