select shared.create_kind_table('Route', 'tokenfactory_routing.route', inherited => true, refs =>
  '{"targets[].endpoint": "inference_endpoints.endpoint", "targets[].external": "tokenfactory_routing.external_endpoint"}');
-- A name leads to one route at a scope, whichever of its two names it is.
create unique index route_public_name on tokenfactory_routing.route (path, coalesce(spec ->> 'model', name));
