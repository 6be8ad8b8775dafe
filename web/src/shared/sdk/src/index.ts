/** What a feature of the console builds on. */
export { defineFeature } from "./contract.ts";
export type { FeatureDefinition, FeatureManifest, FeatureRoute, Host, NavigationEntry, Page, Provider, RuntimeFeature } from "./contract.ts";
export { ApiError, errorFrom, tell } from "./errors.ts";
export type { FieldProblem } from "./errors.ts";
export { accessToken, ask, refresh, sessionEnded, setUp, signIn, signOut, useSession } from "./session.ts";
export { api, authorized, request, unwrap } from "./api.ts";
export type { components, paths } from "./generated/api.ts";
export { readEvents } from "./sse.ts";
export type { ServerEvent } from "./sse.ts";
export { callAs } from "./calls.ts";
export type { Call, Written } from "./calls.ts";
export {
  BootstrapProvider, bootstrapQuery, fetchBootstrap, holds, holdsWithin, useBootstrap, useCan, useFeature, useKind,
  useKindDetail,
} from "./bootstrap.ts";
export type { Bootstrap, Caller, ConsoleInfo, FeatureView, ScopeNode } from "./bootstrap.ts";
export {
  Link, PlaceProvider, addressOf, kindAddress, pageAddress, resourceAddress, useGo, usePathname, usePlace, useQueryString,
  useQueryWord, useTableQuery,
} from "./routing.tsx";
export type { PagePlace } from "./routing.tsx";
export * from "./resource.ts";
export {
  applyResource, createResource, deleteResource, optionOf, patchResource, useReferenceOptions, useRemember, useResource, useResources,
} from "./resources.ts";
export type { Document, ReferenceOption } from "./resources.ts";
export { useModels } from "./models.ts";
export type { CallableModel } from "./models.ts";
export { freeName } from "./names.ts";
export { tokensIn } from "./tokens.ts";
export type { TokenPart } from "./tokens.ts";
export { useWriting } from "./writing.ts";
export type { Writing } from "./writing.ts";
export { usePages } from "./pages.ts";
export { useTable } from "./table.ts";
export type { Growing, PagedList } from "./pages.ts";
export { onChange, useLiveStatus, watch } from "./live.ts";
export type { Change, LiveState } from "./live.ts";
export { live } from "./topics.ts";
export type { Shows } from "./topics.ts";
export { beginReporting, reportError, reportVital } from "./report.ts";
export { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
