import { Link, pageAddress, useFeature, usePlace } from "@ironworks/sdk";
import { Callout } from "@ironworks/ui";

import type { Problem } from "./problems.ts";
import { t } from "./words.ts";

/** A problem: what it is, what was said of it, what to do, and where. */
export function Trouble({ problem }: { problem: Problem }) {
  const { scope } = usePlace();
  const there = useFeature(problem.feature ?? "");
  return (
    <Callout tone="bad" title={problem.title}>
      {problem.detail && <p>{problem.detail}</p>}
      <p className="text-xs text-muted">
        {problem.remedy}{" "}
        {problem.feature && there && (
          <Link to={pageAddress(scope, problem.feature)} className="font-medium text-ink underline underline-offset-2">
            {t(`to_${problem.feature}`)}
          </Link>
        )}
      </p>
      {problem.requestId && <p className="mt-1 font-mono text-2xs break-all text-muted">{problem.requestId}</p>}
    </Callout>
  );
}
