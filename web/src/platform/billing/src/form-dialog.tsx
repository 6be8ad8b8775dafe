/** A dialog with one form; it closes when what was asked for is done, and says why where it is not. */
import { tell } from "@ironworks/sdk";
import { Button, Callout, Dialog } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent, ReactNode } from "react";

interface FormProps {
  title: string;
  action: string;
  blocked?: boolean;
  onClose: () => void;
  /** Raises what a person is told. */
  onSubmit: () => Promise<void>;
  children: ReactNode;
}

export function FormDialog({ title, action, blocked, onClose, onSubmit, children }: FormProps) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      await onSubmit();
      onClose();
    } catch (error) {
      setProblem(tell(error));
      setBusy(false);
    }
  };
  return (
    <Dialog open onClose={onClose} title={title}>
      <form className="flex flex-col gap-4" onSubmit={(event) => void submit(event)}>
        {children}
        {problem && (
          <Callout tone="bad">
            <span className="whitespace-pre-wrap">{problem}</span>
          </Callout>
        )}
        <Button type="submit" look="primary" busy={busy} disabled={blocked ?? false}>
          {action}
        </Button>
      </form>
    </Dialog>
  );
}
