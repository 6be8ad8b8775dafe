/**
 * Numbers, money, bytes and times as people read them.
 *
 * Money comes as integers of nano-units (10⁻⁹), which outgrow a JavaScript number: they stay bigint until the last
 * digit is written. A price below a cent keeps the digits that tell it from nothing.
 */
const NANO = 1_000_000_000n;
const LOCALE = "en";

/** Kept, because making one takes a hundred times as long as using it, and tables use them in every cell. */
const number = (options: Intl.NumberFormatOptions) => new Intl.NumberFormat(LOCALE, options);
const WHOLE = number({ maximumFractionDigits: 0 });
const ONE_PLACE = number({ maximumFractionDigits: 1 });
const TWO_PLACES = number({ maximumFractionDigits: 2 });
const THREE_DIGITS = number({ maximumSignificantDigits: 3 });
const DATE = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", year: "numeric" });
const MOMENT = new Intl.DateTimeFormat(LOCALE, {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short",
});

export function formatNumber(value: number | bigint): string {
  return TWO_PLACES.format(value);
}

const STEPS: [number, string][] = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** 12,345,678 as `12.3M`; below ten thousand as it is. */
export function formatCompact(value: number): string {
  if (Math.abs(value) < 10_000) return formatNumber(value);
  const [size, unit] = STEPS.find(([step]) => Math.abs(value) >= step) ?? [1, ""];
  return `${THREE_DIGITS.format(value / size)}${unit}`;
}

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < BINARY.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${(unit === 0 || value >= 100 ? WHOLE : ONE_PLACE).format(value)} ${BINARY[unit]}`;
}

/** Milliseconds as `240 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${ONE_PLACE.format(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

const SYMBOLS: Record<string, string> = { USD: "$", EUR: "€", GBP: "£" };

/** Nano-units as an amount: two places, or as many as the first three digits of something smaller than a cent need. */
export function formatMoney(nano: bigint | number | string, currency: string): string {
  const amount = BigInt(nano);
  const negative = amount < 0n;
  const absolute = negative ? -amount : amount;
  const places = absolute === 0n || absolute >= NANO / 100n ? 2 : placesFor(absolute);
  const scale = 10n ** BigInt(9 - places);
  const rounded = roundHalfEven(absolute, scale);
  const unit = 10n ** BigInt(places);
  const whole = WHOLE.format(rounded / unit);
  const fraction = (rounded % unit).toString().padStart(places, "0");
  const symbol = SYMBOLS[currency.toUpperCase()];
  const text = `${whole}.${fraction}`;
  return `${negative ? "−" : ""}${symbol ? `${symbol}${text}` : `${text} ${currency.toUpperCase()}`}`;
}

/** The nano-units of a decimal as the API writes amounts: `"1.25"`, `"-0.000000001"`. */
export function parseMoney(decimal: string): bigint {
  const [, sign, whole = "0", fraction = ""] = /^(-?)(\d*)(?:\.(\d{0,9}))?/.exec(decimal) ?? [];
  const nano = BigInt(whole || "0") * NANO + BigInt(fraction.padEnd(9, "0"));
  return sign ? -nano : nano;
}

function placesFor(absolute: bigint): number {
  const digits = absolute.toString();
  const told = digits.slice(0, 3).replace(/0+$/, "").length;
  return Math.min(9, 9 - digits.length + told);
}

function roundHalfEven(value: bigint, scale: bigint): bigint {
  const quotient = value / scale;
  const rest = (value % scale) * 2n;
  if (rest > scale || (rest === scale && quotient % 2n === 1n)) return quotient + 1n;
  return quotient;
}

/** `3 min ago`, `in 2 h`; beyond a day the days, beyond a month the date. */
export function formatAgo(then: Date, now: Date): string {
  const ms = now.getTime() - then.getTime();
  const absolute = Math.abs(ms);
  if (absolute < 5_000) return "just now";
  if (absolute > 30 * 86_400_000) return formatDate(then);
  const text = oneUnit(absolute);
  return ms > 0 ? `${text} ago` : `in ${text}`;
}

function oneUnit(ms: number): string {
  if (ms < 60_000) return `${Math.floor(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} d`;
}

export const formatDate = (moment: Date): string => DATE.format(moment);

/** In the viewer's zone, to the second. */
export const formatTime = (moment: Date): string => MOMENT.format(moment);

export const formatUtc = (moment: Date): string => `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;

const SPELLED: Record<string, string> = { api: "API", url: "URL", cpu: "CPU", gpu: "GPU", id: "ID", ip: "IP", uid: "UID", tls: "TLS", otlp: "OTLP", ttl: "TTL", sha256: "SHA-256", kv: "KV", gib: "GiB" };

/** `ModelDownloading` → `Model downloading`, `api-keys` → `API keys`. */
export function words(name: string): string {
  const spaced = name
    .replace(/[_-]+/g, " ")
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase();
  const spelled = spaced.split(" ").map((word) => SPELLED[word] ?? word).join(" ");
  return spelled.charAt(0).toUpperCase() + spelled.slice(1);
}
