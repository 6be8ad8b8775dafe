/** What went wrong, in words: what it is, what the gateway says of it, and what a person can do. */
import { ApiError, tell } from "@ironworks/sdk";
import { formatDuration } from "@ironworks/ui";

import { GatewayError } from "./gateway.ts";
import { t } from "./words.ts";

export interface Problem {
  title: string;
  detail: string;
  remedy: string;
  /** A feature whose page helps. */
  feature?: "budgets" | "keys" | "endpoints";
  requestId?: string;
}

type Known = Pick<Problem, "title" | "remedy" | "feature">;

const say = (title: string, remedy = "", feature?: Problem["feature"]): Known => ({ title, remedy, ...(feature && { feature }) });

function known(code: string): Known | null {
  switch (code) {
    case "budget_exhausted":
      return say(t("budgetUsed"), t("budgetUsedRemedy"), "budgets");
    case "budget_unavailable":
    case "price_missing":
      return say(t("budgetUnclear"), t("askOperator"), "budgets");
    case "rate_limit_exceeded":
    case "too_many_requests_in_flight":
    case "request_too_large_for_limit":
      return say(t("limitReached"), t("limitRemedy"));
    case "model_not_permitted":
      return say(t("notPermitted"), t("notPermittedRemedy"));
    case "model_not_found":
      return say(t("unknownModel"), t("unknownModelRemedy"), "endpoints");
    case "model_not_supported":
      return say(t("wrongTask"), t("wrongTaskRemedy"));
    case "model_starting":
      return say(t("stillStarting"), t("stillStartingRemedy"), "endpoints");
    case "model_not_ready":
      return say(t("notReady"), t("notReadyRemedy"), "endpoints");
    case "model_busy":
    case "model_overloaded":
    case "overloaded":
      return say(t("busy"), t("busyRemedy"));
    case "invalid_api_key":
    case "api_key_disabled":
    case "api_key_expired":
      return say(t("keyRefused"), t("keyRefusedRemedy"), "keys");
    case "permission_denied":
      return say(t("keyMayNot"), t("keyMayNotRemedy"), "keys");
    case "platform_suspended":
      return say(t("suspended"), t("suspendedRemedy"));
    case "upstream_error":
    case "upstream_timeout":
      return say(t("upstreamFailed"), t("tryAgain"), "endpoints");
    case "invalid_request":
    case "unsupported_parameter":
    case "unsupported_operation":
      return say(t("notUnderstood"), t("notUnderstoodRemedy"));
    case "broken_off":
      return say(t("brokenOff"), t("tryAgain"));
    default:
      return null;
  }
}

export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return { title: t("noKey"), detail: tell(error), remedy: t("noKeyRemedy"), feature: "keys" };
  if (!(error instanceof GatewayError)) return { title: t("failed"), detail: tell(error), remedy: t("tryAgain") };
  if (error.code === "unreachable") return { title: t("unreachable"), detail: "", remedy: t("unreachableRemedy", { base: error.message, origin: location.origin }) };
  const { title, remedy, feature } = known(error.code) ?? say(t("failed"), error.status >= 500 ? t("tryAgain") : "");
  const later = error.retryAfter ? t("retryAfter", { time: formatDuration(error.retryAfter * 1000) }) : "";
  return {
    title,
    detail: error.message,
    remedy: [remedy, later].filter(Boolean).join(" "),
    ...(feature && { feature }),
    ...(error.requestId && { requestId: error.requestId }),
  };
}
