select shared.create_domain_schema('inference_engines');
select shared.create_kind_table('Engine', 'inference_engines.engine', inherited => true);
