-- At the operator's scope: what any account may have for which neither a plan nor the operator says anything else.
alter table platform_policy.quota_override drop constraint quota_override_scope_check;
alter table platform_policy.quota_override add constraint quota_override_scope_check check (nlevel(scope) <= 2);
