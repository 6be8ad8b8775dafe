/** The fields that prices and terms have in common: what they are for, and what one unit costs. */
import { api, live, unwrap, useBootstrap, useQuery } from "@ironworks/sdk";
import { Combobox, Field, Input, Select, words } from "@ironworks/ui";
import type { Option } from "@ironworks/ui";

import type { BookKey, PriceDraft } from "./book.ts";
import { unitPriceOf } from "./book.ts";
import { placeWords } from "./parts.tsx";
import { t } from "./words.ts";

/** Every meter that may be priced. */
export function useMeters(): readonly Option[] {
  const { data } = useQuery({
    queryKey: ["billing", "meters"],
    ...live("-", "registry"),
    staleTime: 300_000,
    queryFn: async () => (await unwrap(api.GET("/api/v1/registry", { params: { query: { category: "meter", limit: 200 } } }))).items,
  });
  return (data ?? []).filter((meter) => meter.usable).map(({ name, body }) => ({ value: name, label: words(name), hint: String(body["description"] ?? "") }));
}

interface MeterFieldProps {
  value: string;
  onChange: (meter: string) => void;
  id?: string;
}

export const MeterBox = ({ meters, value, ...rest }: MeterFieldProps & { meters: readonly Option[] }) => (
  <Combobox {...rest} label={t("meter")} placeholder={t("chooseMeter")} value={value || null} options={meters} />
);

interface PriceInputProps {
  id?: string;
  "aria-label"?: string;
  "aria-describedby"?: string | undefined;
  value: PriceDraft;
  onChange: (value: PriceDraft) => void;
  required?: boolean;
  placeholder?: string;
}

/** An exact price, by the unit or by the million. */
export const PriceInput = ({ value, onChange, ...rest }: PriceInputProps) => (
  <span className="grid grid-cols-[minmax(0,1fr)_auto] gap-1">
    <Input
      {...rest}
      inputMode="decimal"
      autoComplete="off"
      aria-invalid={value.text.trim() !== "" && unitPriceOf(value) === null}
      value={value.text}
      onChange={(event) => onChange({ ...value, text: event.target.value })}
    />
    <Select aria-label={t("per")} value={value.per} onChange={(event) => onChange({ ...value, per: event.target.value === "one" ? "one" : "million" })}>
      <option value="one">{t("perOne")}</option>
      <option value="million">{t("perMillionUnits")}</option>
    </Select>
  </span>
);

interface KeyFieldsProps {
  value: BookKey;
  onChange: (change: Partial<BookKey>) => void;
  scopeHint: string;
}

/** What a price, or terms, are for. */
export function KeyFields({ value, onChange, scopeHint }: KeyFieldsProps) {
  const meters = useMeters();
  const { scopes } = useBootstrap();
  const places = [{ value: "-", label: t("everywhere") }, ...scopes.filter(({ path }) => path !== "-").map(({ path, kind }) => ({ value: path, label: path, hint: words(kind) }))];
  return (
    <div className="grid items-start gap-x-3 gap-y-4 sm:grid-cols-2">
      <Field label={t("meter")} hint={meters.find((meter) => meter.value === value.meter)?.hint}>
        {({ id }) => <MeterBox id={id} meters={meters} value={value.meter} onChange={(meter) => onChange({ meter })} />}
      </Field>
      <Field label={t("model")} hint={t("modelHint")}>
        {(ids) => <Input {...ids} required maxLength={512} spellCheck={false} value={value.model} onChange={(event) => onChange({ model: event.target.value })} />}
      </Field>
      <Field label={t("where")} hint={scopeHint}>
        {({ id }) => <Combobox id={id} free label={t("where")} value={value.scope} options={places} onChange={(scope) => onChange({ scope })}>{placeWords(value.scope)}</Combobox>}
      </Field>
      <Field label={t("currency")}>
        {(ids) => <Input {...ids} required pattern="[A-Z]{3}" value={value.currency} onChange={(event) => onChange({ currency: event.target.value.toUpperCase() })} />}
      </Field>
    </div>
  );
}
