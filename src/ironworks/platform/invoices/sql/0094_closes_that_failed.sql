-- A close that fails says why, and waits longer each time before it is tried again: the others do not wait with it.
alter table platform_invoices.close
  add column attempts int not null default 0,
  add column retry_at timestamptz,
  add column problem text not null default '';
