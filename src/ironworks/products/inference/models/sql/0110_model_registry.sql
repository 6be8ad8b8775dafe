select shared.create_domain_schema('inference_models');
select shared.create_kind_table('ModelRegistry', 'inference_models.model_registry', inherited => true);
