import { useEffect, useId, useState } from "react";

import { Input } from "./field.tsx";
import { Icon } from "./icons.tsx";

interface FilterInputProps {
  label: string;
  value: string;
  /** What is offered while one types. */
  seen: readonly string[];
  onChange: (value: string) => void;
}

/** A word that a list is narrowed by. It counts on Enter, when it is left, and when one of those seen is chosen: half a name is no filter. */
export function FilterInput({ label, value, seen, onChange }: FilterInputProps) {
  const id = useId();
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  return (
    <div className="relative min-w-0 lg:w-40">
      <Icon name="filter" size={12} className="pointer-events-none absolute top-2.5 left-2.5 text-faint" />
      <Input
        aria-label={label}
        placeholder={label}
        list={id}
        value={typed}
        spellCheck={false}
        onChange={(event) => {
          setTyped(event.target.value);
          if (seen.includes(event.target.value) || event.target.value === "") onChange(event.target.value);
        }}
        onKeyDown={(event) => event.key === "Enter" && onChange(typed)}
        onBlur={() => typed !== value && onChange(typed)}
        className={value ? "border-accent pl-7" : "pl-7"}
      />
      <datalist id={id}>
        {seen.map((option) => (
          <option key={option} value={option} />
        ))}
      </datalist>
    </div>
  );
}
