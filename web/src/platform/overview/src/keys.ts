/** Whether a tenant has keys and whether they were used; kept fresh by the stream of changes. */
import { apiAddress, onChange, request, useCan, useQuery, useQueryClient } from "@ironworks/sdk";
import type { Resource, ResourcePage } from "@ironworks/sdk";
import { useEffect } from "react";

import type { KeyUse } from "./steps.ts";

const PLURAL = "api-keys";
/** Enough to know that there are some. */
const FIRST = 20;

/** Undefined while it is not known. A key that is used for the first time also means that there is usage to read. */
export function useKeys(scope: string): KeyUse[] | undefined {
  const client = useQueryClient();
  const may = useCan()("api-key:read", scope);
  const { data } = useQuery({
    queryKey: ["first keys", scope],
    enabled: may,
    staleTime: 0, // what happened while another page was open was not heard here
    queryFn: () => request<ResourcePage>(`${apiAddress(PLURAL, scope)}?limit=${FIRST}`).then((page) => page.items.map(useOf)),
  });
  useEffect(
    () =>
      onChange(({ plural, resource: { metadata } }) => {
        if (plural !== PLURAL || !(metadata.scope === scope || metadata.scope.startsWith(`${scope}.`))) return;
        void client.invalidateQueries({ queryKey: ["first keys", scope] });
        void client.invalidateQueries({ queryKey: ["analytics", scope] });
      }),
    [client, scope],
  );
  return may ? data : [];
}

const useOf = ({ status }: Resource): KeyUse => ({ last_used_at: (status["last_used_at"] as string | null | undefined) ?? null });
