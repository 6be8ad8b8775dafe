/** The dialog that something is drawn in: what opens above it has to lie inside of it, for all else is inert meanwhile. */
import { createContext, useContext } from "react";

export const Within = createContext<HTMLElement | null>(null);

/** Where menus and lists that open are put; the end of the page where there is no dialog. */
export const useWithin = (): HTMLElement | undefined => useContext(Within) ?? undefined;
