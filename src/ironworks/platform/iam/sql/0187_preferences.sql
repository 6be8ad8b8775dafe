-- What a person's pages remember of him, wherever he signs in. Goes with the user.
create table platform_iam.preference (
  user_uid uuid primary key references platform_iam.principal (uid) on delete cascade,
  document jsonb not null check (jsonb_typeof(document) = 'object'),
  changed_at timestamptz not null
);
alter table platform_iam.preference enable row level security;
alter table platform_iam.preference force row level security;
create policy system on platform_iam.preference to ironworks_system using (true) with check (true);
grant select, insert, update, delete on platform_iam.preference to ironworks_system;
