/** What a form does: one write at a time, and what was wrong with the last one. */
import { useState } from "react";

export interface Writing {
  busy: boolean;
  /** What the last write threw; null while there is nothing to tell. */
  failure: unknown;
  run: (write: () => Promise<unknown>) => Promise<void>;
  setFailure: (failure: unknown) => void;
}

export function useWriting(): Writing {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>(null);
  const run = async (write: () => Promise<unknown>) => {
    setBusy(true);
    setFailure(null);
    try {
      await write();
    } catch (error) {
      setFailure(error);
    } finally {
      setBusy(false);
    }
  };
  return { busy, failure, run, setFailure };
}
