-- Mail that is to go out. A row is written in the transaction of what it tells of, and sent by the worker afterwards.

select shared.create_domain_schema('platform_notification');

create table platform_notification.mail (
  uid uuid primary key default gen_random_uuid(),
  dedup_key text collate "C" not null unique check (length(dedup_key) between 1 and 200),
  scope ltree not null,
  template text not null,
  recipient text not null check (length(recipient) <= 254),
  variables jsonb not null,
  created_at timestamptz not null,
  due_at timestamptz not null,
  attempts int not null default 0,
  sent_at timestamptz,
  given_up_at timestamptz,
  error text,
  subject text,
  body text
);
comment on column platform_notification.mail.variables is 'may hold a shown-once token; emptied when the mail is out';
comment on column platform_notification.mail.body is 'kept only where mails are files of this machine';
create index on platform_notification.mail (due_at) where sent_at is null and given_up_at is null;
create index on platform_notification.mail (created_at desc, uid);

alter table platform_notification.mail enable row level security;
alter table platform_notification.mail force row level security;
grant select on platform_notification.mail to ironworks_api;
grant select, insert, update, delete on platform_notification.mail to ironworks_worker;
