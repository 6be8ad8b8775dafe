-- What things cost the operator is nobody else's business.
drop policy if exists api_read on platform_reports.cost_rate;
create policy api_read on platform_reports.cost_rate for select to ironworks_api
  using (''::ltree <@ any ((select shared.granted('report:margin'))::ltree[]));
drop policy if exists api_create on platform_reports.cost_rate;
create policy api_create on platform_reports.cost_rate for insert to ironworks_api
  with check (''::ltree <@ any ((select shared.granted('report:cost'))::ltree[]));

-- What the domain's topic is made of.
select shared.tell_changes('cost-rates', 'platform_reports.cost_rate', $$''::ltree$$, '{insert}');
