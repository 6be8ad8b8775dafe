/**
 * Following what a worker finishes after the API has answered: a payment that reaches its invoice, a close that makes
 * one. Invoices are of no kind that the stream of changes tells, so the page looks again, ever later, and then stops.
 */
import { useQueryClient } from "@ironworks/sdk";
import { useCallback, useEffect, useRef } from "react";

const LOOKS_MS = [0, 700, 2_000, 4_000, 8_000, 16_000];

/** Everything of this feature that is shown now is asked for anew. */
export function useFollow(): () => void {
  const client = useQueryClient();
  const timers = useRef<ReturnType<typeof setTimeout>[]>([]);
  const stop = useCallback(() => {
    for (const timer of timers.current) clearTimeout(timer);
    timers.current = [];
  }, []);
  useEffect(() => stop, [stop]);
  return useCallback(() => {
    stop();
    const look = () => {
      void client.invalidateQueries({ queryKey: ["billing"] });
      void client.invalidateQueries({ queryKey: ["pages"] });
    };
    timers.current = LOOKS_MS.map((ms) => setTimeout(look, ms));
  }, [client, stop]);
}
