/** By which key this page calls: said before one is made, and how to end it or to use another. */
import { tell, useBootstrap, useCan } from "@ironworks/sdk";
import { Button, Callout, Dialog, Field, PasswordInput, formatTime, notify } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { dropKey, pasteKey, useHeldKey } from "./key.ts";
import type { Held } from "./key.ts";
import { t } from "./words.ts";

/** Whether there is a key, or one may be made. */
export function useMayCall(scope: string): boolean {
  const can = useCan();
  const held = useHeldKey(scope);
  return held !== null || (can("api-key:create", scope) && can("api-key:rotate", scope));
}

export function KeyNote({ scope }: { scope: string }) {
  const held = useHeldKey(scope);
  const may = useMayCall(scope);
  const [pasting, setPasting] = useState(false);
  const paste = (
    <button type="button" className="text-muted underline underline-offset-2 hover:text-ink" onClick={() => setPasting(true)}>
      {t("keyPaste")}
    </button>
  );
  return (
    <>
      {may ? (
        <p className="text-xs text-faint">
          {held ? <Holding held={held} /> : t("keyWill")} {!held && paste}
        </p>
      ) : (
        <Callout tone="warn">
          {t("keyMust")} {paste}
        </Callout>
      )}
      {pasting && <Paste scope={scope} onClose={() => setPasting(false)} />}
    </>
  );
}

function Holding({ held }: { held: Held }) {
  const end = async () => {
    try {
      await dropKey(held);
      notify("ok", held.name ? t("keyDropped", { name: held.name }) : t("keyForgotten"));
    } catch (error) {
      notify("bad", tell(error));
    }
  };
  const until = held.until === null ? "" : formatTime(new Date(held.until)).replace(/^.*, (\d\d:\d\d):\d\d.*$/, "$1");
  return (
    <>
      {held.name ? t("keyMade", { name: held.name, time: until }) : t("keyPasted")}{" "}
      <button type="button" className="text-muted underline underline-offset-2 hover:text-ink" onClick={() => void end()}>
        {held.name ? t("keyDrop") : t("keyForget")}
      </button>
    </>
  );
}

function Paste({ scope, onClose }: { scope: string; onClose: () => void }) {
  const person = useBootstrap().caller.uid;
  const [text, setText] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    pasteKey({ person, scope }, text.trim());
    onClose();
  };
  return (
    <Dialog open onClose={onClose} title={t("keyPasteTitle")}>
      <form className="flex flex-col gap-4" onSubmit={submit}>
        <p className="text-sm text-muted">{t("keyPasteHint")}</p>
        <Field label={t("keyField")} hint={t("keyFieldHint")}>
          {(ids) => (
            <PasswordInput {...ids} autoFocus required autoComplete="off" spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} />
          )}
        </Field>
        <Button type="submit" look="primary" disabled={!/^\s*[\x21-\x7e]+\s*$/.test(text)}>
          {t("keyUse")}
        </Button>
      </form>
    </Dialog>
  );
}
