/** Documents as YAML, loaded where needed: `await import`ed by the pages that show one. */
export { parse as parseYaml, stringify as stringifyYaml } from "yaml";
