-- Whether a declared word may be used. SQL of any domain asks here; the answer is the registry's, bound when it is
-- called, so that lower schemas need not exist for higher ones to be created. Fails closed: unknown means false.
create function shared.registered(category text, name text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return platform_registry.enabled(category, name);
end $$;
grant execute on function shared.registered(text, text)
  to ironworks_system, ironworks_api, ironworks_worker, ironworks_gateway;
