-- An account's people see its invoices; who sees one tenant alone sees that tenant's lines and what is behind them.
-- Every change is the operator's or our own worker's.
do $$
declare
  name text;
begin
  foreach name in array array['billing_details', 'close', 'numbering', 'invoice', 'line', 'claim', 'released_claim',
                              'charge', 'posting', 'payment', 'credit_note'] loop
    execute format('drop policy if exists api_read on platform_invoices.%I', name);
    execute format('create policy api_read on platform_invoices.%I for select to ironworks_api'
                   ' using (scope <@ any ((select shared.granted(''invoice:read''))::ltree[]))', name);
    execute format('drop policy if exists api_manage on platform_invoices.%I', name);
    execute format('create policy api_manage on platform_invoices.%I to ironworks_api'
                   ' using (''''::ltree <@ any ((select shared.granted(''invoice:manage''))::ltree[]))'
                   ' with check (''''::ltree <@ any ((select shared.granted(''invoice:manage''))::ltree[]))', name);
    execute format('drop policy if exists worker on platform_invoices.%I', name);
    execute format('create policy worker on platform_invoices.%I to ironworks_worker using (true) with check (true)',
                   name);
  end loop;
end $$;

-- Who issues is on every invoice anyway.
drop policy if exists api_read_issuer on platform_invoices.billing_details;
create policy api_read_issuer on platform_invoices.billing_details for select to ironworks_api
  using (scope = ''::ltree and shared.subject() is not null);

-- What the domain's topics are made of.
select shared.tell_changes('invoices', 'platform_invoices.billing_details');
select shared.tell_changes('invoices', 'platform_invoices.close');
select shared.tell_changes('invoices', 'platform_invoices.invoice');
select shared.tell_changes('invoices', 'platform_invoices.payment');
select shared.tell_changes('invoices', 'platform_invoices.credit_note');
