select shared.create_domain_schema('tokenfactory_routing');
select shared.create_kind_table('ExternalEndpoint', 'tokenfactory_routing.external_endpoint', inherited => true);
