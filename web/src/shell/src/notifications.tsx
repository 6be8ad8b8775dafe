/** What happened while this page is open. */
import { Button, Dialog, Empty, Icon, IconButton, Time, cx, forgetNotes, useNotes } from "@ironworks/ui";
import { useState } from "react";

import { t } from "./words.ts";

const TONE = { ok: "text-ok", bad: "text-bad", info: "text-info" };
const ICON = { ok: "ok", bad: "error", info: "info" } as const;

export function NotificationsButton() {
  const [open, setOpen] = useState(false);
  const notes = useNotes();
  return (
    <>
      <IconButton icon="bell" label={t("notifications")} onClick={() => setOpen(true)} />
      <Dialog open={open} onClose={() => setOpen(false)} title={t("notifications")} side="right">
        {notes.length === 0 ? (
          <Empty icon="bell" title={t("nothingYet")}>
            {t("noNotifications")}
          </Empty>
        ) : (
          <>
            <ul className="-mx-4 -mt-4 divide-y divide-line">
              {[...notes].reverse().map((note) => (
                <li key={note.id} className="flex gap-2.5 px-4 py-2.5">
                  <Icon name={ICON[note.tone]} className={cx("mt-0.5", TONE[note.tone])} />
                  <div className="min-w-0 flex-1 text-sm break-words">
                    <p>{note.title}</p>
                    {note.detail && <p className="text-xs text-muted">{note.detail}</p>}
                    <p className="text-xs text-faint">
                      <Time at={note.at.toISOString()} />
                    </p>
                  </div>
                </li>
              ))}
            </ul>
            <Button className="mt-3" onClick={forgetNotes}>
              {t("clear")}
            </Button>
          </>
        )}
      </Dialog>
    </>
  );
}
