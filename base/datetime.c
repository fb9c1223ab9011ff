/* datetime.c - digits at fixed places, then the days of the calendar. */
#include "base/datetime.h"

enum { MICROS = 1000000 };

/* The next `n` digits as a number. */
static bool digits(const char **p, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, ++*p) {
        if (**p < '0' || **p > '9')
            return false;
        *out = *out * 10 + (**p - '0');
    }
    return true;
}

static bool skip(const char **p, char c)
{
    return **p == c && (++*p, true);
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar: years begin in March, so the odd day is the last. */
static int64_t days_since_epoch(int year, int month, int day)
{
    int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400, of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* ".25" */
static bool fraction(const char **p, int64_t *micros)
{
    int64_t unit = MICROS / 10;
    if (!skip(p, '.'))
        return true;
    if (**p < '0' || **p > '9')
        return false;
    for (; **p >= '0' && **p <= '9'; ++*p, unit /= 10)
        *micros += (**p - '0') * unit;
    return true;
}

/* "Z", "+02:00", "-0330", "+02" or nothing, in seconds east. */
static bool zone(const char **p, int *seconds)
{
    int hours = 0, minutes = 0, sign = **p == '-' ? -1 : 1;
    *seconds = 0;
    if (!**p || ((**p == 'Z' || **p == 'z') && ++*p))
        return true;
    if (!skip(p, '+') && !skip(p, '-'))
        return false;
    if (!digits(p, 2, &hours) || (skip(p, ':') && !**p) || (**p && !digits(p, 2, &minutes)) || hours > 23 ||
        minutes > 59)
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

static bool time_of_day(const char **p, int64_t *micros)
{
    int hour, minute, second = 0, east;
    if (!digits(p, 2, &hour) || !skip(p, ':') || !digits(p, 2, &minute))
        return false;
    if (skip(p, ':') && (!digits(p, 2, &second) || !fraction(p, micros)))
        return false;
    if (hour > 23 || minute > 59 || second > 60 || !zone(p, &east)) /* 60: a leap second */
        return false;
    *micros += ((int64_t)hour * 3600 + minute * 60 + second - east) * MICROS;
    return true;
}

bool datetime_parse(const char *text, int64_t *micros)
{
    int year, month, day;
    int64_t of_day = 0;
    const char *p = text;
    if (!digits(&p, 4, &year) || !skip(&p, '-') || !digits(&p, 2, &month) || !skip(&p, '-') || !digits(&p, 2, &day) ||
        month < 1 || month > 12 || day < 1 || day > days_in(year, month))
        return false;
    if (*p && !((skip(&p, 'T') || skip(&p, 't') || skip(&p, ' ')) && time_of_day(&p, &of_day)))
        return false;
    *micros = days_since_epoch(year, month, day) * 86400 * MICROS + of_day;
    return *p == 0;
}
