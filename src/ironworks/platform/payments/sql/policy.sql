-- The worker does what providers are asked for; the API writes intents, and each intent needs its own permission.
do $$
declare t text;
begin
  foreach t in array array['customer', 'method', 'payment', 'refund', 'notice', 'reconciliation', 'difference'] loop
    execute format('drop policy if exists worker on platform_payments.%I', t);
    execute format('create policy worker on platform_payments.%I to ironworks_worker using (true) with check (true)', t);
  end loop;
end $$;

drop policy if exists api_read on platform_payments.customer;
create policy api_read on platform_payments.customer for select to ironworks_api
  using (scope <@ any ((select shared.granted('payment-method:read'))::ltree[]));
drop policy if exists api_add on platform_payments.customer;
create policy api_add on platform_payments.customer for insert to ironworks_api
  with check (text2ltree(account) <@ any ((select shared.granted('payment-method:create'))::ltree[])
              and reference is null and default_method is null);
drop policy if exists api_change on platform_payments.customer;
create policy api_change on platform_payments.customer for update to ironworks_api
  using (scope <@ any ((select shared.granted('payment-method:create'))::ltree[]));

drop policy if exists api_read on platform_payments.method;
create policy api_read on platform_payments.method for select to ironworks_api
  using (scope <@ any ((select shared.granted('payment-method:read'))::ltree[]));
drop policy if exists api_delete on platform_payments.method;
create policy api_delete on platform_payments.method for delete to ironworks_api
  using (scope <@ any ((select shared.granted('payment-method:delete'))::ltree[]));

drop policy if exists api_read on platform_payments.payment;
create policy api_read on platform_payments.payment for select to ironworks_api
  using (scope <@ any ((select shared.granted('payment:read'))::ltree[]));
-- Money that came in without a provider is the operator's word alone.
drop policy if exists api_add on platform_payments.payment;
create policy api_add on platform_payments.payment for insert to ironworks_api
  with check (case provider
                when 'manual' then state = 'succeeded' and (select shared.allows('receipt:create', ''))
                else state = 'planned' and reference is null
                     and text2ltree(account) <@ any ((select shared.granted('payment:create'))::ltree[])
              end);
-- To try again what failed, and nothing else.
drop policy if exists api_retry on platform_payments.payment;
create policy api_retry on platform_payments.payment for update to ironworks_api
  using (state in ('failed', 'exhausted') and scope <@ any ((select shared.granted('payment:create'))::ltree[]))
  with check (state = 'failed');

drop policy if exists api_read on platform_payments.refund;
create policy api_read on platform_payments.refund for select to ironworks_api
  using (scope <@ any ((select shared.granted('payment:read'))::ltree[]));
drop policy if exists api_add on platform_payments.refund;
create policy api_add on platform_payments.refund for insert to ironworks_api
  with check ((select shared.allows('refund:create', '')) and state = 'planned' and reference is null);

-- Whoever tells is proved by a signature, before this.
drop policy if exists api_add on platform_payments.notice;
create policy api_add on platform_payments.notice for insert to ironworks_api with check (handled_at is null);

drop policy if exists api_read on platform_payments.reconciliation;
create policy api_read on platform_payments.reconciliation for select to ironworks_api
  using ((select shared.allows('reconciliation:read', '')));
drop policy if exists api_read on platform_payments.difference;
create policy api_read on platform_payments.difference for select to ironworks_api
  using ((select shared.allows('reconciliation:read', '')));

-- What the domain's topics are made of.
select shared.tell_changes('payments', 'platform_payments.payment');
select shared.tell_changes('payments', 'platform_payments.refund');
select shared.tell_changes('payment-methods', 'platform_payments.customer');
select shared.tell_changes('payment-methods', 'platform_payments.method');
select shared.tell_changes('payment-differences', 'platform_payments.reconciliation', $$''::ltree$$);
select shared.tell_changes('payment-differences', 'platform_payments.difference', $$''::ltree$$);
