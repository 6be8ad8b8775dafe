-- From which day on a close worked out what terms add or take off; up to its period's end no other does. A later close
-- corrects it for usage that came late. Null: before this was kept, and where an empty period had nothing to work out.
alter table platform_invoices.close add column adjusted_from date check (adjusted_from <= period_end);
