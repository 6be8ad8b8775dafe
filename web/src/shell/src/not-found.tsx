import { Link } from "@ironworks/sdk";
import { Empty, buttonClass } from "@ironworks/ui";

import { t } from "./words.ts";

export const NotFound = () => (
  <Empty
    icon="search"
    title={t("notFound")}
    actions={
      <Link to="/" className={buttonClass("normal")}>
        {t("goHome")}
      </Link>
    }
  >
    {t("notFoundHint")}
  </Empty>
);
