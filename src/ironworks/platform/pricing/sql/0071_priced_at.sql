-- A waiting line keeps the moment whose prices count, where that is not when it occurred.
alter table platform_pricing.unrated_line add column priced_at timestamptz;
