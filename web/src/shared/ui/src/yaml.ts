/** Documents as YAML, loaded where needed: `await import`ed by the pages that show one. */
export { parse as parseYaml, parseDocument as parseYamlDocument, stringify as stringifyYaml } from "yaml";
