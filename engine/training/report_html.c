/* report_html.c - escaping, and the look of the page. */
#include "engine/training/report_html.h"

#include "base/base64.h"
#include "base/version.h"

static const char style[] =
    ":root{color-scheme:light "
    "dark;--paper:#faf9f7;--card:#fff;--ink:#1d1c1a;--soft:#6b6862;--rule:#e4e1db;--line:#2a63c4;"
    "--band:#2a63c433;--good:#1d7f45;--bad:#b3341f;--warn:#fff4d6;--warn-ink:#6a4b00}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#161513;--card:#1f1e1b;--ink:#ecebe7;--soft:#a19d95;--rule:#"
    "35332f;"
    "--line:#7fabff;--band:#7fabff33;--good:#5fc98b;--bad:#ff8a73;--warn:#3a2f10;--warn-ink:#f4d58a}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe "
    "UI',Roboto,sans-serif}\n"
    "main{max-width:76rem;margin:0 auto;padding:2rem 1rem 3rem}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:0 0 .3rem;letter-spacing:-.01em;overflow-wrap:anywhere}\n"
    "h2{font-size:1.15rem;margin:2.6rem 0 .8rem}\n"
    "h3{font-size:.95rem;margin:0;font-weight:600;display:flex;justify-content:space-between;gap:1rem}\n"
    "p{margin:.4rem 0;max-width:46rem}p.warn{max-width:none}\n"
    ".soft,.note{color:var(--soft)}.note{font-size:.85rem}\n"
    ".good{color:var(--good)}.bad{color:var(--bad)}\n"
    ".card{background:var(--card);border:1px solid var(--rule);border-radius:.6rem;padding:.9rem 1rem}\n"
    ".grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr))}\n"
    ".hero{display:flex;flex-wrap:wrap;gap:.6rem 3rem;align-items:baseline;margin-top:1.4rem}\n"
    ".hero div{min-width:6rem}.hero "
    "b{display:block;font-size:2.1rem;line-height:1.15;font-weight:650;letter-spacing:-.02em}\n"
    ".hero p{flex:0 0 100%;max-width:none;margin:0}\n"
    "b,td,th,.now{font-variant-numeric:tabular-nums}.now{font-weight:400;color:var(--soft)}\n"
    ".warn{background:var(--warn);color:var(--warn-ink);border-radius:.6rem;padding:.7rem 1rem;margin:.6rem "
    "0;overflow-wrap:anywhere}\n"
    "svg{display:block;width:100%;height:auto;margin-top:.5rem;overflow:visible}\n"
    "path.grid{fill:none;stroke:var(--rule)}path.band{fill:var(--band);stroke:none}\n"
    "path.line{fill:none;stroke:var(--line);stroke-width:1.75;stroke-linejoin:round;stroke-linecap:round}\n"
    "path.mark{fill:none;stroke:var(--good);stroke-dasharray:3 3}circle.dot{fill:var(--line)}\n"
    "circle.best{fill:var(--good);stroke:var(--card);stroke-width:1.5}text.tick{fill:var(--soft);font-size:10.5px}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}\n"
    "th{font-weight:600;text-align:left}td,th{padding:.4rem .6rem .4rem 0;border-bottom:1px solid "
    "var(--rule);vertical-align:top}\n"
    "tr:last-child>*{border-bottom:0}th small{display:block;font-weight:400;color:var(--soft)}\n"
    "td.number,th.number{text-align:right;white-space:nowrap;padding-right:0;padding-left:.9rem}td "
    "small{display:block;color:var(--soft)}\n"
    "dl{display:grid;grid-template-columns:fit-content(45%) 1fr;gap:.3rem 1.2rem;margin:0}\n"
    "dt{color:var(--soft);overflow-wrap:anywhere}dd{margin:0;overflow-wrap:anywhere;unicode-bidi:isolate}\n"
    ".columns{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));align-items:"
    "start}\n"
    "img{display:block;max-width:100%;min-width:44rem;height:auto;border-radius:.3rem}\n"
    "@media(max-width:36rem){main{padding-top:1.2rem}th "
    "small{display:none}table{font-size:.92rem}td.number,th.number{padding-left:.5rem}"
    "td small{max-width:5rem;margin-left:auto;white-space:normal}"
    ".hero{gap:.5rem 1.4rem}.hero div{min-width:0}.hero b{font-size:1.6rem}}\n"
    "footer{margin-top:2.5rem;color:var(--soft);font-size:.85rem}\n";

void html_text(struct buf *out, const char *text)
{
    for (; text && *text; text++)
        switch (*text) {
        case '&': buf_text(out, "&amp;"); break;
        case '<': buf_text(out, "&lt;"); break;
        case '>': buf_text(out, "&gt;"); break;
        case '"': buf_text(out, "&quot;"); break;
        case '\'': buf_text(out, "&#39;"); break;
        default: buf_char(out, *text);
        }
}

void html_begin(struct buf *out, const char *title)
{
    buf_text(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
                  "'unsafe-inline'\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    html_text(out, title);
    buf_text(out, "</title>\n<style>");
    buf_text(out, style);
    buf_text(out, "</style></head>\n<body><main>\n");
}

void html_end(struct buf *out)
{
    buf_text(out, "<footer>anchord " ANCHORD_VERSION "</footer>\n</main></body></html>\n");
}

void html_png(struct buf *out, const void *png, size_t len, const char *alt)
{
    buf_text(out, "<img alt=\"");
    html_text(out, alt);
    buf_text(out, "\" src=\"data:image/png;base64,");
    base64_encode(png, len, out);
    buf_text(out, "\">");
}
