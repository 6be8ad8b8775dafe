-- The operator reads mails, for a local run's sake; the worker writes and sends them.
drop policy if exists worker on platform_notification.mail;
create policy worker on platform_notification.mail to ironworks_worker using (true) with check (true);
drop policy if exists api_read on platform_notification.mail;
create policy api_read on platform_notification.mail for select to ironworks_api
  using (''::ltree = any ((select shared.granted('mail:read'))::ltree[]));
