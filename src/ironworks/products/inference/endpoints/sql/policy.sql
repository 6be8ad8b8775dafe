-- The gateway reads where endpoints are served; it writes nothing here.
grant select on inference_endpoints.endpoint to ironworks_gateway;
drop policy if exists gateway on inference_endpoints.endpoint;
create policy gateway on inference_endpoints.endpoint for select to ironworks_gateway using (true);
