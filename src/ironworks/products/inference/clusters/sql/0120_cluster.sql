select shared.create_domain_schema('inference_clusters');
select shared.create_kind_table('Cluster', 'inference_clusters.cluster', inherited => true);
