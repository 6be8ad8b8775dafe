select shared.create_domain_schema('tokenfactory_traces');
select shared.create_kind_table('TracePolicy', 'tokenfactory_traces.trace_policy', inherited => true);
