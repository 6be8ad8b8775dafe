/** Raising a budget: a typed amount or a step, one click, and a way back. */
import { ApiError, patchResource, tell, useRemember } from "@ironworks/sdk";
import { Button, Dialog, Field, Input, notify, parseMoney } from "@ironworks/ui";
import { useState } from "react";
import type { FormEvent } from "react";

import { PLURAL, decimalOf, exactMoney } from "./types.ts";
import type { Budget } from "./types.ts";
import { t } from "./words.ts";

const STEPS = [["by25", 125n], ["by50", 150n], ["double", 200n]] as const;

export function useSetAmount(budget: Budget): (amount: string) => Promise<void> {
  const remember = useRemember();
  const { name, scope } = budget.metadata;
  const { currency, period } = budget.spec;
  return async function set(amount: string): Promise<void> {
    const before = budget.spec.amount;
    remember(PLURAL, await patchResource(PLURAL, scope, name, { spec: { amount } }));
    notify("ok", t("raised", { name, amount: exactMoney(amount, currency), period: t(period) }), {
      undo: () => {
        patchResource(PLURAL, scope, name, { spec: { amount: before } }).then((put) => remember(PLURAL, put), (error: unknown) => notify("bad", tell(error)));
      },
    });
  };
}

export function RaiseDialog({ budget, onClose }: { budget: Budget; onClose: () => void }) {
  const set = useSetAmount(budget);
  const [amount, setAmount] = useState(budget.spec.amount);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const valid = /^\d{1,10}(\.\d{1,9})?$/.test(amount);
  const lower = valid && parseMoney(amount) < parseMoney(budget.spec.amount);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      await set(amount);
      onClose();
    } catch (error) {
      setProblem((error instanceof ApiError && error.problemOf("spec.amount")) || tell(error));
      setBusy(false);
    }
  };
  return (
    <Dialog open onClose={onClose} title={t("raiseTitle")}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
        <Field label={t("newAmount")} hint={lower ? t("lowerHint") : t("raiseHint")} problem={problem || (valid ? undefined : t("amountHint"))}>
          {(ids) => <Input {...ids} autoFocus inputMode="decimal" value={amount} onChange={(event) => setAmount(event.target.value.trim())} onFocus={(event) => event.target.select()} />}
        </Field>
        <div className="flex flex-wrap gap-2">
          {STEPS.map(([word, percent]) => (
            <Button key={word} small onClick={() => setAmount(decimalOf((parseMoney(budget.spec.amount) * percent) / 100n))}>
              {t(word)}
            </Button>
          ))}
        </div>
        <Button type="submit" look="primary" busy={busy} disabled={!valid || amount === budget.spec.amount}>
          {t("raise")}
        </Button>
      </form>
    </Dialog>
  );
}
