-- How many customers of an account's were deleted at the provider: part of the key under which the next one is made.
alter table platform_payments.customer add column incarnation int not null default 0 check (incarnation >= 0);
grant update (incarnation) on platform_payments.customer to ironworks_api;
