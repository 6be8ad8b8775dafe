-- The scope that this transaction acts for: the gateway names it before it asks, and sees nothing of any other.
create or replace function tokenfactory_responses.place() returns ltree language sql stable
set search_path = pg_catalog, public, pg_temp
  return nullif(current_setting('ironworks.place', true), '')::ltree;
grant execute on function tokenfactory_responses.place() to ironworks_gateway;

drop policy if exists gateway on tokenfactory_responses.response_key;
create policy gateway on tokenfactory_responses.response_key to ironworks_gateway
  using (scope = (select tokenfactory_responses.place())) with check (scope = (select tokenfactory_responses.place()));
drop policy if exists gateway on tokenfactory_responses.response;
create policy gateway on tokenfactory_responses.response to ironworks_gateway
  using (scope = (select tokenfactory_responses.place())) with check (scope = (select tokenfactory_responses.place()));

-- The worker ends them, and cannot read one: it has no right to `nonce` and `ciphertext`.
drop policy if exists worker on tokenfactory_responses.response_key;
create policy worker on tokenfactory_responses.response_key to ironworks_worker using (true) with check (true);
drop policy if exists worker on tokenfactory_responses.response;
create policy worker on tokenfactory_responses.response to ironworks_worker using (true);
