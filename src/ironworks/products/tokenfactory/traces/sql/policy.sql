-- The gateway knows every policy and key, and writes traces that it cannot read back.
drop policy if exists gateway on tokenfactory_traces.trace_policy;
create policy gateway on tokenfactory_traces.trace_policy for select to ironworks_gateway using (true);
drop policy if exists gateway on tokenfactory_traces.trace_key;
create policy gateway on tokenfactory_traces.trace_key for select to ironworks_gateway using (true);
drop policy if exists gateway on tokenfactory_traces.trace;
create policy gateway on tokenfactory_traces.trace for insert to ironworks_gateway with check (true);

-- The worker makes keys and ends traces.
drop policy if exists worker on tokenfactory_traces.trace_key;
create policy worker on tokenfactory_traces.trace_key to ironworks_worker using (true) with check (true);
drop policy if exists worker on tokenfactory_traces.trace;
create policy worker on tokenfactory_traces.trace to ironworks_worker using (true);

drop policy if exists api_read on tokenfactory_traces.trace;
create policy api_read on tokenfactory_traces.trace for select to ironworks_api
  using (scope <@ any ((select shared.granted('endpoint:trace-read'))::ltree[]));
drop policy if exists api_delete on tokenfactory_traces.trace;
create policy api_delete on tokenfactory_traces.trace for delete to ironworks_api
  using (scope <@ any ((select shared.granted('endpoint:trace-delete'))::ltree[]));
-- Who may read a trace may have the key that opens it, though its policy lies above.
drop policy if exists api_read on tokenfactory_traces.trace_key;
create policy api_read on tokenfactory_traces.trace_key for select to ironworks_api
  using (exists (select from tokenfactory_traces.trace t where t.policy = trace_key.policy
                 and t.scope <@ any ((select shared.granted('endpoint:trace-read'))::ltree[])));
