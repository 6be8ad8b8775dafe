/** A dialog with one form; it closes when what was asked for is done, and says why where it is not. */
import { tell, useWriting } from "@ironworks/sdk";
import { Button, Callout, Dialog } from "@ironworks/ui";
import type { ReactNode } from "react";

interface FormProps {
  title: string;
  action: string;
  blocked?: boolean;
  /** Another thing to do in place of what the form is for. */
  other?: { label: string; run: () => Promise<void> };
  onClose: () => void;
  /** Raises what a person is told. */
  onSubmit: () => Promise<void>;
  children: ReactNode;
}

export function FormDialog({ title, action, blocked, other, onClose, onSubmit, children }: FormProps) {
  const { busy, failure, run } = useWriting();
  const attempt = (work: () => Promise<void>) => void run(() => work().then(onClose));
  return (
    <Dialog open onClose={onClose} title={title}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          attempt(onSubmit);
        }}
      >
        {children}
        {failure !== null && (
          <Callout tone="bad">
            <span className="whitespace-pre-wrap">{tell(failure)}</span>
          </Callout>
        )}
        <div className="flex flex-wrap gap-2">
          {other && (
            <Button busy={busy} onClick={() => attempt(other.run)}>
              {other.label}
            </Button>
          )}
          <Button type="submit" look="primary" className="flex-1" busy={busy} disabled={blocked ?? false}>
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
