/* fuzz_datetime.c - texts of any kind as a date and time: what is taken lies within the years 0 to 9999, and the part of it
 * that the C library reads too means the same. */
#include <string.h>
#include <time.h>

#include "base/datetime.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[64] = "";
    int64_t micros, again;
    struct tm tm = {0};
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    if (!datetime_parse(text, &micros))
        return 0;
    FUZZ_CHECK(micros >= -62167305600 * 1000000 && micros <= 253402387260 * 1000000); /* and a day for the zones */
    text[10] = 0;                                                                     /* the date alone */
    FUZZ_CHECK(datetime_parse(text, &again));
    FUZZ_CHECK(again % 1000000 == 0 && micros - again >= -86400 * 1000000ll && micros - again <= 2 * 86400 * 1000000ll);
    FUZZ_CHECK(sscanf(text, "%d-%d-%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday) == 3);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    FUZZ_CHECK(timegm(&tm) == again / 1000000);
    return 0;
}
