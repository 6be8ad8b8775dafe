/** A list and the address of its page, as a table takes them. */
import { useGo, useTableQuery } from "./routing.tsx";

/** What any hook of lists gives: `usePages`, `useResources`, or a query of one's own. */
interface Listed<T> {
  items: readonly T[];
  loading?: boolean;
  error?: Error | null;
  more?: boolean;
  loadMore?: () => void;
}

const nothing = () => undefined;

/** Spread into a DataTable: its rows, filters and order from the address; `addressOf` is where a row opens. */
export function useTable<T>({ items, loading = false, error = null, more = false, loadMore = nothing }: Listed<T>, addressOf?: (row: T) => string) {
  const go = useGo();
  const [state, onState] = useTableQuery();
  const opens = addressOf && { onOpen: (row: T) => go(addressOf(row)), hrefOf: addressOf };
  return { rows: items, loading, error, more, onEnd: loadMore, state, onState, ...opens };
}
