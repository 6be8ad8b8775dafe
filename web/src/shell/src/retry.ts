import { ApiError } from "@ironworks/sdk";

/** What the API refused is not asked again; what could not be reached or is overloaded is, three times. */
export function retryLater(failures: number, error: Error): boolean {
  if (error instanceof ApiError && error.status !== 0 && error.status < 500 && error.status !== 429) return false;
  return failures < 3;
}
