/** The form that adds a version to the price book: what it is for, what it says, and beside it what that would do. */
import { tell } from "@ironworks/sdk";
import type { Writing } from "@ironworks/sdk";
import { Button, Callout, Page, Section } from "@ironworks/ui";
import type { ReactNode } from "react";

import type { BookKey } from "./book.ts";
import { KeyFields } from "./book-fields.tsx";
import { t } from "./words.ts";

interface BookFormProps {
  title: string;
  of: BookKey;
  onOf: (key: BookKey) => void;
  scopeHint: string;
  ready: boolean;
  writing: Writing;
  /** What went wrong stands beside its field already. */
  placed?: boolean;
  add: () => Promise<void>;
  aside: ReactNode;
  children: ReactNode;
}

export function BookForm({ title, of: key, onOf, scopeHint, ready, writing, placed, add, aside, children }: BookFormProps) {
  const { busy, failure, run } = writing;
  return (
    <Page title={title}>
      <form
        className="grid max-w-6xl grid-cols-1 items-start gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(20rem,2fr)]"
        onSubmit={(event) => {
          event.preventDefault();
          void run(add);
        }}
      >
        <Section>
          <div className="flex flex-col gap-5">
            <KeyFields value={key} onChange={(change) => onOf({ ...key, ...change })} scopeHint={scopeHint} />
            {children}
            {failure !== null && !placed && (
              <Callout tone="bad">
                <span className="whitespace-pre-wrap">{tell(failure)}</span>
              </Callout>
            )}
            <div>
              <Button type="submit" look="primary" busy={busy} disabled={!ready}>
                {t("addPrice")}
              </Button>
            </div>
          </div>
        </Section>
        <div className="flex min-w-0 flex-col gap-4">{aside}</div>
      </form>
    </Page>
  );
}
