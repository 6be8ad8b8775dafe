-- What tells a lost answer from a stolen refresh token, and what people see of their own sessions.
alter table platform_iam.refresh_token
  add column generation int not null default 0,
  add column withdrawn_at timestamptz;
comment on column platform_iam.refresh_token.generation is 'how many exchanges after the sign-in it was issued';
comment on column platform_iam.refresh_token.withdrawn_at is 'issued in an answer that was lost: whoever shows it stole it';

update platform_iam.refresh_token t set generation = n.generation
from (select hash, row_number() over (partition by session order by issued_at, used_at nulls last) - 1 as generation
      from platform_iam.refresh_token) n
where n.hash = t.hash;

alter table platform_iam.session
  add column user_agent text check (length(user_agent) <= 200),
  add column last_used_at timestamptz;
update platform_iam.session s set last_used_at =
  coalesce((select max(t.issued_at) from platform_iam.refresh_token t where t.session = s.id), s.created_at);
alter table platform_iam.session alter column last_used_at set not null;

drop function if exists platform_iam.open_session(uuid, uuid, text, bytea, timestamptz, timestamptz);
