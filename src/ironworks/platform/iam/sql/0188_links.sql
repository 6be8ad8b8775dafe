-- Links that are mailed, whatever they are for: sign-ups, which were the first, invitations and forgotten passwords.

create table platform_iam.link (
  uid uuid primary key,
  purpose text not null check (purpose in ('signup', 'invitation', 'password')),
  email text not null check (email = lower(email) and length(email) <= 254),
  token_hash bytea unique check (length(token_hash) = 32),
  expires_at timestamptz,
  created_at timestamptz not null,
  asked_at timestamptz not null,
  sent_at timestamptz,
  used_at timestamptz,
  used_by uuid
);
comment on column platform_iam.link.token_hash is 'of the token that was made last; null before the first';
comment on column platform_iam.link.asked_at is 'when a mail was asked for last';
comment on column platform_iam.link.used_by is 'who came of it, so that he may hear of it again when the answer was lost';
create index on platform_iam.link (email);
create unique index password_of_an_address on platform_iam.link (email) where purpose = 'password';

insert into platform_iam.link (uid, purpose, email, token_hash, expires_at, created_at, asked_at, sent_at, used_at)
  select uid, 'signup', email, token_hash, token_expires_at, created_at, coalesce(sent_at, created_at), sent_at, verified_at
  from platform_iam.signup;
alter table platform_iam.signup
  drop column email, drop column token_hash, drop column token_expires_at, drop column sent_at, drop column created_at,
  drop column verified_at, add foreign key (uid) references platform_iam.link (uid) on delete cascade;
drop function if exists platform_iam.waiting_signups(text, timestamptz);
drop function if exists platform_iam.arm_signup(uuid, bytea, timestamptz, timestamptz);
drop function if exists platform_iam.redeem_signup(bytea, timestamptz);

-- A role that waits for somebody. It goes with whoever gives it, and with the role.
create table platform_iam.invitation (
  uid uuid primary key references platform_iam.link (uid) on delete cascade,
  scope ltree not null,
  role uuid not null references platform_iam.role (uid) on delete cascade,
  inviter uuid not null references platform_iam.principal (uid) on delete cascade
);
create index on platform_iam.invitation (scope);
create index on platform_iam.invitation (role);
create index on platform_iam.invitation (inviter);

do $$
declare
  t text;
begin
  foreach t in array array['link', 'invitation'] loop
    execute format('alter table platform_iam.%I enable row level security', t);
    execute format('alter table platform_iam.%I force row level security', t);
    execute format('create policy system on platform_iam.%I to ironworks_system using (true) with check (true)', t);
    execute format('grant select, insert, update, delete on platform_iam.%I to ironworks_system', t);
  end loop;
end $$;
