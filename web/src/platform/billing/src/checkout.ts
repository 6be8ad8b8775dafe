/** Leaving a payment method on a page of the payment provider's, and coming back from there. */
import { api, unwrap, useQueryWord } from "@ironworks/sdk";
import { notify } from "@ironworks/ui";
import { useEffect, useRef } from "react";

import { t } from "./words.ts";

/** Sends the browser there; it comes back to this page. Raises ApiError. */
export async function openCheckout(account: string, currency: string): Promise<void> {
  const back = new URL(location.href);
  back.searchParams.set("checkout", "done");
  const body = { success_url: back.href, cancel_url: location.href, currency };
  const { url } = await unwrap(api.POST("/api/v1/scopes/{path}/payment-methods:checkout", { params: { path: { path: account } }, body }));
  location.assign(url);
}

/** Once back, has the provider asked what was left: its notices may not come through to where this runs. */
export function useCheckoutReturn(account: string): void {
  const [checkout, setCheckout] = useQueryWord("checkout");
  const asked = useRef(false);
  useEffect(() => {
    if (checkout !== "done" || asked.current) return;
    asked.current = true;
    setCheckout("");
    notify("info", t("cameBack"));
    void api.POST("/api/v1/scopes/{path}/payment-methods:refresh", { params: { path: { path: account } } }).catch(() => undefined);
  }, [checkout, account, setCheckout]);
}
