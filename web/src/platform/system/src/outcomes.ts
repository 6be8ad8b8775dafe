/** What came of replays, from what the list said before and says now. */
export interface Letter {
  id: number;
  consumer: string;
  position: number;
  subject: string;
  scope: string;
  error: string;
  attempts: number;
  failed_at: string;
  replay_requested_at: string | null;
  replayed_at: string | null;
}

export interface Outcome {
  letter: Letter;
  /** Null where it was handled. */
  error: string | null;
}

/** Of those that were asked for, each that is no longer in the list, or failed once more; the others still wait. */
export function outcomesOf(asked: readonly Letter[], listed: readonly Letter[]): Outcome[] {
  return asked.flatMap((letter): Outcome[] => {
    const now = listed.find((one) => one.id === letter.id);
    if (!now) return [{ letter, error: null }];
    return now.attempts > letter.attempts && now.replay_requested_at === null ? [{ letter: now, error: now.error }] : [];
  });
}
