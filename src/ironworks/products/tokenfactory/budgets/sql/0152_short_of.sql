-- Calls are refused before the last of the amount is spent: when less is left than the least that one could cost.
alter table tokenfactory_budgets.budget_period add column short_of bigint check (short_of > 0);
comment on column tokenfactory_budgets.budget_period.short_of is
  'the least that a call could cost which was refused because less was left; it is used up while less is left';
