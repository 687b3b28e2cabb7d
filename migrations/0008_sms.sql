-- What codes that leave for somebody who is paid for it cost, a UTC day at a time, for the whole deployment.
create table sms_days (
    -- 2026-11-21
    day text primary key,
    sends bigint not null,
    -- Millionths of the currency that SMS_PRICES are written in.
    spent bigint not null
);

-- A row per country that codes were sent to; whoever counts a code locks it first. ZZ is a number of no country.
create table sms_countries (
    country text primary key,
    -- Since when it gets few codes, because too few of them were used.
    held_at timestamptz
);

-- Codes to a country, by the minute they were sent in (minutes since 1970).
create table sms_minutes (
    country text not null,
    minute bigint not null,
    sends bigint not null,
    -- Of these, sent while the country was held.
    held_sends bigint not null,
    -- Codes made in this minute that were used.
    verified bigint not null,
    primary key (country, minute)
);

create index sms_minutes_by_age on sms_minutes (minute);
