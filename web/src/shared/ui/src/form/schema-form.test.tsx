import { act, useState } from "react";
import { createRoot } from "react-dom/client";
import { beforeEach, expect, it } from "vitest";

import { SchemaForm } from "./schema-form.tsx";

(globalThis as Record<string, unknown>)["IS_REACT_ACT_ENVIRONMENT"] = true;

const SCHEMA = {
  type: "object",
  required: ["name"],
  properties: {
    name: { type: "string" },
    drain_seconds: { type: "integer", default: 60, minimum: 0 },
    auth: { $ref: "#/$defs/Auth" },
    cache: { anyOf: [{ $ref: "#/$defs/Cache" }, { type: "null" }], default: null },
    models: { anyOf: [{ type: "array", items: { type: "string" } }, { type: "null" }], default: null },
  },
  $defs: {
    Auth: { type: "object", properties: { credential: { anyOf: [{ type: "string" }, { type: "null" }], default: null } } },
    Cache: { type: "object", required: ["ttl"], properties: { ttl: { type: "integer", minimum: 5 } } },
  },
};
const HINTS = { secrets: ["auth.credential"], immutable: ["name"] };

let value: unknown;
let host: HTMLElement;

function Host({ first, problems = [] }: { first: unknown; problems?: { field: string; problem: string }[] }) {
  const [held, setHeld] = useState(first);
  value = held;
  return <SchemaForm schema={SCHEMA} value={held} onChange={setHeld} hints={HINTS} problems={problems} editing />;
}

const draw = (first: unknown, problems?: { field: string; problem: string }[]) =>
  act(() => createRoot(host).render(<Host first={first} {...(problems && { problems })} />));

function field<T extends Element>(label: string): T {
  const found = [...host.querySelectorAll("label")].find((one) => one.textContent?.startsWith(label));
  return host.querySelector(`[id="${found?.htmlFor ?? ""}"]`) as T;
}

function type(input: HTMLInputElement, text: string): void {
  act(() => {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")?.set?.call(input, text);
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

const press = (label: string) => act(() => [...host.querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === label || one.textContent === label)?.click());

beforeEach(() => {
  document.body.innerHTML = "<div></div>";
  host = document.body.firstElementChild as HTMLElement;
});

it("never shows a secret, keeps it while nothing is typed, and sends what is", () => {
  draw({ name: "a", auth: { credential: "***" } });
  const input = field<HTMLInputElement>("Credential");
  expect([input.type, input.value]).toEqual(["password", ""]);
  type(input, "sk-new");
  expect(value).toMatchObject({ auth: { credential: "sk-new" } });
  type(input, "");
  expect(value).toMatchObject({ auth: { credential: "***" } });
});

it("counts in the unit that is chosen, and writes the field's own", () => {
  draw({ name: "a", drain_seconds: 300 });
  const input = field<HTMLInputElement>("Drain");
  expect(input.value).toBe("5");
  type(input, "10");
  expect(value).toMatchObject({ drain_seconds: 600 });
  type(input, "");
  expect(value).toEqual({ name: "a" });
});

it("does not let what never changes be changed", () => {
  draw({ name: "a" });
  expect(field<HTMLInputElement>("Name").disabled).toBe(true);
});

it("adds what may be left out with what it needs, and leaves it out again", () => {
  draw({ name: "a" });
  press("Add");
  expect(value).toEqual({ name: "a", cache: { ttl: 5 } });
  press("Leave Cache out");
  expect(value).toEqual({ name: "a" });
});

it("tells an empty list from none, for they may mean opposite things", () => {
  draw({ name: "a", models: ["gpt"] });
  press("Remove Model 1");
  expect(value).toEqual({ name: "a", models: [] });
  expect(host.textContent).toContain("none at all");
  press("Leave Models out");
  expect(value).toEqual({ name: "a" });
});

it("tells what is wrong beside its field, and above what has none", () => {
  draw({ name: "a" }, [{ field: "drain_seconds", problem: "is too long" }, { field: "colour", problem: "is no field" }]);
  expect(field<HTMLInputElement>("Drain").getAttribute("aria-invalid")).toBe("true");
  expect(host.querySelector("[role=alert]")?.textContent).toBe("colour: is no field");
});
