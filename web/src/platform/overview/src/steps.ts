/** Which of the first steps a tenant has taken, told by what there is. */
export interface KeyUse {
  last_used_at: string | null;
}

interface Used {
  total: { requests: number; cost: string | null };
}

/**
 * `models`: endpoints, here and at providers; `keys`: what is known of some of its keys. A call of an earlier day is
 * known by the key that was used for it.
 */
export function stepsDone(models: number, keys: readonly KeyUse[], today: Used | undefined) {
  const called = (today?.total.requests ?? 0) > 0 || keys.some((key) => key.last_used_at !== null);
  return { deploy: models > 0, key: keys.length > 0, call: called, cost: called && today?.total.cost !== null };
}
