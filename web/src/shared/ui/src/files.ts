/** Handing what a page shows to the person as a file. */

/** Quoted where a program that reads it would stumble, and never a formula to a spreadsheet. */
function cell(value: string | number | null): string {
  const text = value === null ? "" : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A table as RFC 4180 has it; the first row is its head. */
export const csvOf = (rows: readonly (readonly (string | number | null)[])[]): string => rows.map((row) => row.map(cell).join(",")).join("\r\n");

export function saveFile(name: string, text: string, type = "text/csv"): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
