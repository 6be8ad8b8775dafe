/** Forms made from JSON schemas: `@ironworks/ui/form`, loaded by the pages that have one. */
export { SchemaForm } from "./schema-form.tsx";
export type { FormHints } from "./context.ts";
export { hasPlace, problemsAt, sampleOf } from "./schema.ts";
export type { JsonSchema, Problem } from "./schema.ts";
