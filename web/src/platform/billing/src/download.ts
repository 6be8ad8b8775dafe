/** Files of the API, which a link could not fetch: it carries no credential. */
import { authorized, tell, errorFrom } from "@ironworks/sdk";
import { notify } from "@ironworks/ui";

import { t } from "./words.ts";

/** The answer's body; raises ApiError. */
export async function fetchFile(path: string): Promise<Blob> {
  const response = await authorized(path);
  if (!response.ok) throw await errorFrom(response);
  return response.blob();
}

/** Hands a file to the person; says why where there is none. */
export async function saveFile(path: string, name: string): Promise<void> {
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await fetchFile(path));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    notify("ok", t("saved", { name }));
  } catch (error) {
    notify("bad", tell(error));
  }
}
