select shared.create_domain_schema('inference_endpoints');
select shared.create_kind_table('Endpoint', 'inference_endpoints.endpoint', refs =>
  '{"cluster": "inference_clusters.cluster", "engine.engine": "inference_engines.engine", "model.registry": "inference_models.model_registry"}');
