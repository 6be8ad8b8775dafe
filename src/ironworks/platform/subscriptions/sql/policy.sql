-- Plans are the same for everyone who is signed in; only the operator's people add to them.
drop policy if exists api_read on platform_subscriptions.plan;
create policy api_read on platform_subscriptions.plan for select to ironworks_api using (shared.subject() is not null);
drop policy if exists api_create on platform_subscriptions.plan;
create policy api_create on platform_subscriptions.plan for insert to ironworks_api
  with check (''::ltree <@ any ((select shared.granted('plan:create'))::ltree[]));
drop policy if exists worker on platform_subscriptions.plan;
create policy worker on platform_subscriptions.plan to ironworks_worker using (true) with check (true);

-- An account's subscription: whoever may change it writes its state, and the charges that follow from that.
do $$
declare
  name text;
begin
  foreach name in array array['subscription', 'plan_span', 'charge', 'settled_period', 'suggestion'] loop
    execute format('drop policy if exists worker on platform_subscriptions.%I', name);
    execute format('create policy worker on platform_subscriptions.%I to ironworks_worker using (true) with check (true)',
      name);
    execute format('drop policy if exists api_read on platform_subscriptions.%I', name);
    execute format($policy$
      create policy api_read on platform_subscriptions.%I for select to ironworks_api
        using (scope <@ any ((select shared.granted('subscription:read'))::ltree[]))$policy$, name);
  end loop;
  foreach name in array array['subscription', 'plan_span', 'charge'] loop
    execute format('drop policy if exists api_create on platform_subscriptions.%I', name);
    execute format($policy$
      create policy api_create on platform_subscriptions.%I for insert to ironworks_api
        with check (scope <@ any ((select shared.granted('subscription:update'))::ltree[]))$policy$, name);
  end loop;
end $$;
drop policy if exists api_update on platform_subscriptions.subscription;
create policy api_update on platform_subscriptions.subscription for update to ironworks_api
  using (scope <@ any ((select shared.granted('subscription:update'))::ltree[]))
  with check (scope <@ any ((select shared.granted('subscription:update'))::ltree[]));

-- What the domain's topics are made of.
select shared.tell_changes('plans', 'platform_subscriptions.plan', $$''::ltree$$);
select shared.tell_changes('subscriptions', 'platform_subscriptions.subscription');
select shared.tell_changes('subscriptions', 'platform_subscriptions.plan_span');
select shared.tell_changes('subscriptions', 'platform_subscriptions.charge');
select shared.tell_changes('subscriptions', 'platform_subscriptions.suggestion');
