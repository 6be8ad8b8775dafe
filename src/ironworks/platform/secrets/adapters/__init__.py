"""Where master keys come from; each reads text that `model.parse_master_keys` understands."""
