/** Whether a tenant has keys and whether they were used; kept fresh by the stream of changes. */
import { apiAddress, live, request, useCan, useQuery } from "@ironworks/sdk";
import type { Resource, ResourcePage } from "@ironworks/sdk";

import type { KeyUse } from "./steps.ts";

const PLURAL = "api-keys";
/** Enough to know that there are some. */
const FIRST = 20;

/** Undefined while it is not known; none where nobody asks for them. */
export function useKeys(scope: string, asked: boolean): KeyUse[] | undefined {
  const may = useCan()("api-key:read", scope) && asked;
  const { data } = useQuery({
    queryKey: ["first keys", scope],
    enabled: may,
    ...live(scope, PLURAL),
    queryFn: () => request<ResourcePage>(`${apiAddress(PLURAL, scope)}?limit=${FIRST}`).then((page) => page.items.map(useOf)),
  });
  return may ? data : [];
}

const useOf = ({ status }: Resource): KeyUse => ({ last_used_at: (status["last_used_at"] as string | null | undefined) ?? null });
