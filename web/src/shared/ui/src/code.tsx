import { type ReactNode, useState } from "react";

import { IconButton } from "./button.tsx";
import { cx } from "./classes.ts";
import { notify } from "./toast.tsx";
import { t } from "./words.ts";

export async function copyText(text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
}

/** What stands between backquotes in a description, names of fields and commands, as code. */
export function marked(text: string): ReactNode {
  if (!text.includes("`")) return text;
  return text.split("`").map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part));
}

interface CopyProps {
  text: string;
  label?: string;
  size?: "normal" | "small" | "tiny";
  className?: string;
}

/** Copies, and shows for a moment that it did. */
export function CopyButton({ text, label = t("copy"), size = "small", className }: CopyProps) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await copyText(text);
    } catch (error) {
      notify("bad", error instanceof Error ? error.message : String(error));
      return;
    }
    setDone(true);
    setTimeout(() => setDone(false), 1_500);
  };
  return (
    <IconButton
      icon={done ? "check" : "copy"}
      label={done ? t("copied") : label}
      onClick={() => void copy()}
      size={size}
      {...(className && { className })}
    />
  );
}

/** Text as a machine reads it, to be copied. */
export function CodeBlock({ text, label, wrap, className }: { text: string; label?: string; wrap?: boolean; className?: string }) {
  return (
    <div className={cx("relative rounded-md border border-line bg-canvas", className)}>
      <pre
        tabIndex={0}
        aria-label={label}
        className={cx(
          "thin-scroll max-h-[60vh] overflow-auto p-3 pr-10 font-mono text-xs",
          wrap && "break-words whitespace-pre-wrap",
        )}
      >
        {text}
      </pre>
      <CopyButton text={text} className="absolute top-1.5 right-1.5" />
    </div>
  );
}

/** An identifier within a line; the button copies it. */
export const Id = ({ text }: { text: string }) => (
  <span className="inline-flex max-w-full items-center gap-0.5 font-mono text-xs">
    <span className="clip-line">{text}</span>
    <CopyButton text={text} size="tiny" />
  </span>
);
