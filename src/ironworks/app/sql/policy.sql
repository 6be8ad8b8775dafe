-- The chain behind every amount, as an auditor asks for it: request → usage event → rated line and its price version →
-- transfer → invoice line, and back. It crosses domains, and no domain may; the composition root knows them all.
--
-- One row per rated line, per quantity that waits for a price, and per transfer on an invoice that is no usage. It shows
-- to each what the tables show to him: `security_invoker` leaves every policy in force. What has not come as far yet has
-- nulls there, and so has what the reader may not see: who reads one tenant alone sees its lines, and no invoice.
create schema if not exists app;
grant usage on schema app to ironworks_api, ironworks_worker;

drop view if exists app.explained;
create view app.explained with (security_invoker = true) as
  select l.usage_event_id as request_id, e.occurred_at, l.path as tenant, l.meter, l.model, l.quantity, l.day,
         l.price_id, p.unit_price, l.amount_nano, l.currency, null::text as waits_for, t.id as transfer_id, t.kind,
         t.posted_at, t.corrects, i.id as invoice_id, i.number as invoice_number, i.state as invoice_state,
         n.id as line_id, n.description
  from platform_pricing.rated_alone l
  join platform_pricing.price p on p.id = l.price_id
  left join platform_metering.usage_event e on e.event_id = l.usage_event_id
  left join platform_ledger.transfer t on t.id = l.transfer_id
  left join platform_invoices.claim c on c.transfer_id = l.transfer_id
  left join platform_invoices.invoice i on i.id = c.invoice_id
  left join platform_invoices.line n on n.invoice_id = c.invoice_id and n.path = l.path and n.kind = 'usage'
    and n.meter = l.meter and n.model = coalesce(l.model, '') and n.unit_price = p.unit_price
  union all
  select l.usage_event_id as request_id, e.occurred_at, l.path as tenant, r.meter, l.model, r.quantity, l.day,
         r.price_id, p.unit_price, r.amount_nano, l.currency, null::text as waits_for, t.id as transfer_id, t.kind,
         t.posted_at, t.corrects, i.id as invoice_id, i.number as invoice_number, i.state as invoice_state,
         n.id as line_id, n.description
  from platform_pricing.rated_event l
  cross join lateral unnest(l.meters, l.quantities, l.price_ids, l.amounts_nano)
    as r (meter, quantity, price_id, amount_nano)
  join platform_pricing.price p on p.id = r.price_id
  left join platform_metering.usage_event e on e.event_id = l.usage_event_id
  left join platform_ledger.transfer t on t.id = l.transfer_id
  left join platform_invoices.claim c on c.transfer_id = l.transfer_id
  left join platform_invoices.invoice i on i.id = c.invoice_id
  left join platform_invoices.line n on n.invoice_id = c.invoice_id and n.path = l.path and n.kind = 'usage'
    and n.meter = r.meter and n.model = coalesce(l.model, '') and n.unit_price = p.unit_price
  union all
  select u.usage_event_id, u.occurred_at, u.path, u.meter, u.model, u.quantity, null, null, null, null, null, u.reason,
         null, null, null, null, null, null, null, null, null
  from platform_pricing.unrated_line u
  union all
  select null, null, c.path, n.meter, n.model, n.quantity, t.day, null, null, c.amount_nano, n.currency, null, c.transfer_id,
         t.kind, t.posted_at, t.corrects, i.id, i.number, i.state, n.id, n.description
  from platform_invoices.claim c
  join platform_invoices.line n on n.invoice_id = c.invoice_id and n.path = c.path and n.kind = c.kind
    and n.reference = c.transfer_id::text
  left join platform_ledger.transfer t on t.id = c.transfer_id
  left join platform_invoices.invoice i on i.id = c.invoice_id
  where c.kind <> 'usage';
grant select on app.explained to ironworks_api, ironworks_worker;
