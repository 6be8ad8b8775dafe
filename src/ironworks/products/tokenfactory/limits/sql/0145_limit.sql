select shared.create_domain_schema('tokenfactory_limits');
select shared.create_kind_table('Limit', 'tokenfactory_limits.limit', reconciled => false, refs => '{"key": "platform_iam.api_key"}');
