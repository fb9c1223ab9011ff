/* framing.c - a state for each place in a request, a function for each state, called for each byte. */
#include "server/http/framing.h"

#include <string.h>

#include "base/num.h"

const char framing_refused[] = "no / no\r\n";

enum { VERSION_LEN = 8, CODING_LEN = 7 };

static bool refuse(struct framing *f, unsigned status, const char *why)
{
    f->status = status;
    f->why = why;
    return false;
}

static bool bad(struct framing *f, const char *why)
{
    return refuse(f, 400, why);
}

static bool go(struct framing *f, enum framing_state next)
{
    f->state = next;
    return true;
}

static bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

static bool is_text(unsigned char c) /* of a value: blanks, printable ASCII, bytes of other alphabets */
{
    return (c >= ' ' && c != 127) || c == '\t';
}

static unsigned char small(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 32) : c;
}

bool framing_is_token(unsigned char c)
{
    return (c >= '0' && c <= '9') || (small(c) >= 'a' && small(c) <= 'z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return small(c) >= 'a' && small(c) <= 'f' ? small(c) - 'a' + 10 : -1;
}

/* What a line may not have, where `c` is neither that nor what belongs there. */
static bool odd_byte(struct framing *f, unsigned char c, const char *why)
{
    if (c == '\n')
        return bad(f, "a line ends with a line feed alone");
    if (c == 0)
        return bad(f, "there is a NUL in the head");
    return bad(f, why);
}

/* ---- the request line ---- */

static bool on_start(struct framing *f, unsigned char c)
{
    if (c == '\r' && !f->blank_line)
        return go(f, FRAMING_START_LF);
    if (framing_is_token(c))
        return go(f, FRAMING_METHOD);
    return odd_byte(f, c, "something else stands in front of the request line");
}

static bool on_start_lf(struct framing *f, unsigned char c)
{
    f->blank_line = true;
    return c == '\n' ? go(f, FRAMING_START) : bad(f, "something else stands in front of the request line");
}

static bool on_method(struct framing *f, unsigned char c)
{
    if (framing_is_token(c))
        return true;
    f->at = 0;
    return c == ' ' ? go(f, FRAMING_TARGET) : odd_byte(f, c, "the method has characters that methods cannot have");
}

static bool on_target(struct framing *f, unsigned char c)
{
    if (c > ' ' && c < 127) {
        f->at = 1;
        return true;
    }
    if (c != ' ')
        return odd_byte(f, c, "the request line is not a method, a target and a version");
    if (!f->at)
        return bad(f, "more than one space follows the method");
    f->at = 0;
    return go(f, FRAMING_VERSION);
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool on_version(struct framing *f, unsigned char c)
{
    static const char form[] = "HTTP/d.d";
    if (f->at == VERSION_LEN)
        return c == '\r' ? go(f, FRAMING_LINE_LF) : odd_byte(f, c, "the request line does not end with the version");
    char want = form[f->at];
    if (want == 'd' ? !is_digit(c) : c != (unsigned char)want)
        return odd_byte(f, c, "the request line does not end with a version such as HTTP/1.1");
    if ((f->at == 5 && c != '1') || (f->at == 7 && c > '1'))
        return refuse(f, 505, "this version of HTTP is not spoken here");
    f->old = c == '0';
    f->at++;
    return true;
}

static bool on_line_lf(struct framing *f, unsigned char c)
{
    f->left = 0;
    return c == '\n' ? go(f, FRAMING_FIELD) : bad(f, "there is a carriage return in the request line");
}

/* ---- fields, of heads and of trailers ---- */

static bool end_of_message(struct framing *f)
{
    f->blank_line = f->length = f->coding = f->trailer = false;
    f->left = 0;
    return go(f, FRAMING_START);
}

static bool on_field(struct framing *f, unsigned char c)
{
    if (c == '\r')
        return go(f, FRAMING_END_LF);
    if (is_blank(c))
        return bad(f, "a header line is folded, or blanks stand in front of its name");
    if (c == ':')
        return bad(f, "a header has no name");
    if (!framing_is_token(c))
        return odd_byte(f, c, "a header's name has characters that names cannot have");
    f->name[0] = (char)small(c);
    f->at = 1;
    return go(f, FRAMING_NAME);
}

static bool begin_length(struct framing *f)
{
    if (f->length)
        return bad(f, "header content-length is there more than once");
    f->length = true;
    f->field = FRAMING_LENGTH;
    return true;
}

static bool begin_coding(struct framing *f)
{
    if (f->coding)
        return bad(f, "header transfer-encoding is there more than once");
    if (f->old)
        return bad(f, "HTTP/1.0 has no transfer-encoding");
    f->coding = true;
    f->at = 0;
    f->field = FRAMING_CODING;
    return true;
}

static bool name_is(const struct framing *f, const char *name)
{
    return f->at == strlen(name) && memcmp(f->name, name, f->at) == 0;
}

static bool end_of_name(struct framing *f)
{
    f->field = FRAMING_ANY_FIELD;
    f->digits = f->over = false;
    f->state = FRAMING_VALUE;
    if (f->trailer)
        return true; /* nobody reads those */
    if (name_is(f, "content-length"))
        return begin_length(f);
    return !name_is(f, "transfer-encoding") || begin_coding(f);
}

static bool on_name(struct framing *f, unsigned char c)
{
    if (c == ':')
        return end_of_name(f);
    if (is_blank(c))
        return bad(f, "blanks stand in front of a header's colon");
    if (c == '\r')
        return bad(f, "a header line has no colon");
    if (!framing_is_token(c))
        return odd_byte(f, c, "a header's name has characters that names cannot have");
    if (f->at < FRAMING_KNOWN_MAX)
        f->name[f->at] = (char)small(c);
    f->at += f->at <= FRAMING_KNOWN_MAX; /* one more than any that matters is enough */
    return true;
}

static bool on_length(struct framing *f, unsigned char c)
{
    if (!is_digit(c) || f->over)
        return bad(f, "content-length is not a number");
    f->digits = true;
    if (__builtin_mul_overflow(f->left, 10, &f->left) || __builtin_add_overflow(f->left, c - '0', &f->left) ||
        f->left > INT64_MAX)
        return refuse(f, 413, "content-length is beyond all limits");
    return true;
}

static bool on_coding(struct framing *f, unsigned char c)
{
    if (f->at == CODING_LEN || f->over || small(c) != (unsigned char)"chunked"[f->at])
        return bad(f, "the only transfer-encoding here is chunked");
    f->digits = true;
    f->at++;
    return true;
}

static bool end_of_value(struct framing *f)
{
    if (f->field == FRAMING_LENGTH && !f->digits)
        return bad(f, "content-length is not a number");
    if (f->field == FRAMING_CODING && f->at != CODING_LEN)
        return bad(f, "the only transfer-encoding here is chunked");
    return go(f, FRAMING_VALUE_LF);
}

static bool on_value(struct framing *f, unsigned char c)
{
    if (c == '\r')
        return end_of_value(f);
    if (!is_text(c))
        return odd_byte(f, c, "a header's value has control characters");
    if (f->field == FRAMING_ANY_FIELD)
        return true;
    if (is_blank(c)) {
        f->over = f->digits;
        return true;
    }
    return f->field == FRAMING_LENGTH ? on_length(f, c) : on_coding(f, c);
}

static bool on_value_lf(struct framing *f, unsigned char c)
{
    return c == '\n' ? go(f, FRAMING_FIELD) : bad(f, "there is a carriage return in a header's value");
}

static bool end_of_head(struct framing *f)
{
    f->heads++;
    f->held = 0;
    if (f->coding) {
        f->digits = false;
        return go(f, FRAMING_SIZE);
    }
    return f->left ? go(f, FRAMING_BODY) : end_of_message(f);
}

static bool on_end_lf(struct framing *f, unsigned char c)
{
    if (c != '\n')
        return bad(f, "a carriage return is not followed by a line feed");
    if (f->trailer) {
        f->held = 0;
        return end_of_message(f);
    }
    if (f->length && f->coding)
        return bad(f, "content-length and transfer-encoding exclude each other");
    return end_of_head(f);
}

/* ---- chunks ---- */

static bool bad_chunk(struct framing *f)
{
    return bad(f, "a chunk does not begin with its length in hex digits, well-formed extensions and CR LF");
}

static bool on_size(struct framing *f, unsigned char c)
{
    int digit = hex_digit(c);
    if (f->given_up)
        return refuse(f, 413, "the body is larger than is taken");
    if (digit >= 0) {
        f->left = f->digits ? f->left : 0;
        f->digits = true;
        if (f->left > (uint64_t)INT64_MAX >> 4)
            return refuse(f, 413, "a chunk is larger than any that is taken");
        f->left = f->left << 4 | (uint64_t)digit;
        return true;
    }
    if (!f->digits || (c != ';' && c != '\r'))
        return bad_chunk(f);
    return go(f, c == ';' ? FRAMING_EXT : FRAMING_SIZE_LF);
}

static bool on_ext(struct framing *f, unsigned char c) /* behind a semicolon */
{
    if (is_blank(c))
        return true;
    return framing_is_token(c) ? go(f, FRAMING_EXT_NAME) : bad_chunk(f);
}

/* What may follow a whole extension, or its name. */
static bool on_ext_end(struct framing *f, unsigned char c)
{
    if (is_blank(c))
        return true;
    if (c == '\r')
        return go(f, FRAMING_SIZE_LF);
    return c == ';' ? go(f, FRAMING_EXT) : bad_chunk(f);
}

static bool on_ext_name_end(struct framing *f, unsigned char c)
{
    return c == '=' ? go(f, FRAMING_EXT_VALUE) : on_ext_end(f, c);
}

static bool on_ext_name(struct framing *f, unsigned char c)
{
    if (framing_is_token(c))
        return true;
    f->state = FRAMING_EXT_NAME_END;
    return on_ext_name_end(f, c);
}

static bool on_ext_value(struct framing *f, unsigned char c)
{
    if (is_blank(c))
        return true;
    if (c == '"')
        return go(f, FRAMING_EXT_QUOTED);
    return framing_is_token(c) ? go(f, FRAMING_EXT_TOKEN) : bad_chunk(f);
}

static bool on_ext_token(struct framing *f, unsigned char c)
{
    if (framing_is_token(c))
        return true;
    f->state = FRAMING_EXT_END;
    return on_ext_end(f, c);
}

static bool on_ext_quoted(struct framing *f, unsigned char c)
{
    if (!is_text(c))
        return bad_chunk(f);
    return c == '"' ? go(f, FRAMING_EXT_END) : c == '\\' ? go(f, FRAMING_EXT_ESCAPE) : true;
}

static bool on_ext_escape(struct framing *f, unsigned char c)
{
    return is_text(c) ? go(f, FRAMING_EXT_QUOTED) : bad_chunk(f);
}

static bool on_size_lf(struct framing *f, unsigned char c)
{
    if (c != '\n')
        return bad_chunk(f);
    f->held = 0;
    f->trailer = f->left == 0;
    return go(f, f->trailer ? FRAMING_FIELD : FRAMING_DATA);
}

static bool on_data_cr(struct framing *f, unsigned char c)
{
    return c == '\r' ? go(f, FRAMING_DATA_LF) : bad(f, "a chunk does not end where its length says");
}

static bool on_data_lf(struct framing *f, unsigned char c)
{
    if (c != '\n')
        return bad(f, "a chunk does not end where its length says");
    f->held = 0;
    f->digits = false;
    return go(f, FRAMING_SIZE);
}

/* ---- all of it ---- */

static bool (*const on_byte[FRAMING_STATES])(struct framing *f, unsigned char c) = {
    [FRAMING_START] = on_start,
    [FRAMING_START_LF] = on_start_lf,
    [FRAMING_METHOD] = on_method,
    [FRAMING_TARGET] = on_target,
    [FRAMING_VERSION] = on_version,
    [FRAMING_LINE_LF] = on_line_lf,
    [FRAMING_FIELD] = on_field,
    [FRAMING_NAME] = on_name,
    [FRAMING_VALUE] = on_value,
    [FRAMING_VALUE_LF] = on_value_lf,
    [FRAMING_END_LF] = on_end_lf,
    [FRAMING_SIZE] = on_size,
    [FRAMING_EXT] = on_ext,
    [FRAMING_EXT_NAME] = on_ext_name,
    [FRAMING_EXT_NAME_END] = on_ext_name_end,
    [FRAMING_EXT_VALUE] = on_ext_value,
    [FRAMING_EXT_TOKEN] = on_ext_token,
    [FRAMING_EXT_QUOTED] = on_ext_quoted,
    [FRAMING_EXT_ESCAPE] = on_ext_escape,
    [FRAMING_EXT_END] = on_ext_end,
    [FRAMING_SIZE_LF] = on_size_lf,
    [FRAMING_DATA_CR] = on_data_cr,
    [FRAMING_DATA_LF] = on_data_lf,
};

/* What is held must end some time. */
static bool check_room(struct framing *f)
{
    if (f->state < FRAMING_FIELD && f->held > FRAMING_HEAD_MAX)
        return refuse(f, 414, "the request target is too long");
    if (f->state < FRAMING_BODY && f->held > FRAMING_HEAD_MAX)
        return refuse(f, 431, "the header fields are too large");
    if (f->state > FRAMING_BODY && f->held > FRAMING_CHUNK_LINE_MAX)
        return refuse(f, 413, "a chunk's first line is too long");
    return true;
}

static void take_content(struct framing *f, uint64_t n)
{
    f->left -= n;
    if (f->left)
        return;
    if (f->state == FRAMING_DATA)
        f->state = FRAMING_DATA_CR;
    else
        (void)end_of_message(f);
}

size_t framing_read(struct framing *f, const char *bytes, size_t n)
{
    size_t at = 0;
    while (at < n && !f->status) {
        uint64_t content = framing_content(f);
        if (content) {
            size_t part = content < n - at ? (size_t)content : n - at;
            take_content(f, part);
            at += part;
            continue;
        }
        f->held++;
        (void)(on_byte[f->state](f, (unsigned char)bytes[at++]) && check_room(f));
    }
    return at;
}

uint64_t framing_content(const struct framing *f)
{
    return f->state == FRAMING_BODY || f->state == FRAMING_DATA ? f->left : 0;
}

void framing_give_up(struct framing *f)
{
    f->given_up = true;
}

bool framing_in_fields(const struct framing *f)
{
    return f->state >= FRAMING_FIELD && f->state <= FRAMING_END_LF && !f->trailer;
}
