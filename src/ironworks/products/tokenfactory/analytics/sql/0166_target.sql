-- Which of several targets of one provider served: without it two of them are one line.
alter table tokenfactory_analytics.hourly add column target text not null default '';
alter table tokenfactory_analytics.minutely add column target text not null default '';
