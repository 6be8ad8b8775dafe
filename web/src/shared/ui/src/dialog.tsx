/**
 * Dialogs on the browser's own <dialog>: focus stays inside, Escape closes, what is behind is inert, and no style is
 * injected at run time, which the console's policy forbids.
 */
import { useId, useLayoutEffect, useState } from "react";
import type { FormEvent, ReactNode } from "react";

import { Button, IconButton } from "./button.tsx";
import { cx } from "./classes.ts";
import { Field, Input } from "./field.tsx";
import { Within } from "./within.ts";
import { t } from "./words.ts";

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: ReactNode;
  children: ReactNode;
  wide?: boolean;
  /** Comes from the side and takes the whole height. */
  side?: "left" | "right";
  bare?: boolean;
}

const FIELD = "form input, form textarea, form select, [role=combobox]";

export function Dialog(props: DialogProps) {
  return props.open ? <Opened {...props} /> : null;
}

function Opened({ onClose, title, children, wide, side, bare }: DialogProps) {
  const [dialog, setDialog] = useState<HTMLDialogElement | null>(null);
  // what is in it comes once it is open: before that nothing in it can be focused or scrolled to
  const [shown, setShown] = useState(false);
  const id = useId();
  useLayoutEffect(() => {
    if (!dialog) return undefined;
    const opener = document.activeElement;
    dialog.showModal();
    setShown(true);
    return () => {
      dialog.close(); // gives focus back to what had it, if that is still there
      if (!opener?.isConnected) document.querySelector("main")?.focus();
    };
  }, [dialog]);
  useLayoutEffect(() => {
    if (shown) dialog?.querySelector<HTMLElement>(FIELD)?.focus(); // rather than the button that closes
  }, [shown, dialog]);
  return (
    <dialog
      ref={setDialog}
      aria-labelledby={id}
      onClose={(event) => !event.currentTarget.open && onClose()}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event) => event.target === dialog && onClose()}
      className={cx(
        "max-h-[calc(100dvh-2rem)] max-w-[calc(100vw-1.5rem)] border border-line bg-panel p-0 text-ink shadow-pop",
        side
          ? cx("m-0 h-dvh max-h-dvh w-80 max-w-[88vw] border-y-0", side === "right" ? "ml-auto" : "mr-auto")
          : cx("mx-auto mt-[8vh] mb-auto rounded-lg animate-appear", wide ? "w-[60rem]" : "w-[32rem]"),
      )}
    >
      {bare ? (
        <h2 id={id} className="sr-only">
          {title}
        </h2>
      ) : (
        <header className="sticky top-0 z-10 flex items-center justify-between gap-3 border-b border-line bg-panel py-2 pr-2 pl-4">
          <h2 id={id} className="text-base font-semibold">
            {title}
          </h2>
          <IconButton icon="close" label={t("close")} onClick={onClose} />
        </header>
      )}
      <div className={bare ? undefined : "p-4"}>
        <Within value={dialog}>{shown && children}</Within>
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  open: boolean;
  onClose: () => void;
  title: ReactNode;
  children: ReactNode;
  action: string;
  /** What must be typed; without it the button alone confirms. */
  word?: string;
  blocked?: boolean;
  onConfirm: () => Promise<unknown>;
}

/** Asks before something that cannot be undone; what is lost most is confirmed by typing its name. */
export function Confirm({ open, onClose, title, children, action, word, blocked, onConfirm }: ConfirmProps) {
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const close = () => {
    setTyped("");
    setProblem("");
    onClose();
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await onConfirm();
      close();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog open={open} onClose={close} title={title}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-3">
        {children}
        {word && (
          <Field label={t("typeToConfirm", { word })}>
            {(ids) => (
              <Input
                {...ids}
                value={typed}
                autoComplete="off"
                spellCheck={false}
                onChange={(event) => setTyped(event.target.value)}
                className="font-mono"
              />
            )}
          </Field>
        )}
        {problem && (
          <p role="alert" className="rounded-md bg-bad-soft px-3 py-2 text-xs text-bad">
            {problem}
          </p>
        )}
        <footer className="flex justify-end gap-2">
          <Button onClick={close}>{t("cancel")}</Button>
          <Button type="submit" look="danger" busy={busy} disabled={blocked || (word !== undefined && typed !== word)}>
            {action}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
