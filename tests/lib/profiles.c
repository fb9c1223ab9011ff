/* profiles.c - ICC profiles by little-cms. */
#include "tests/lib/profiles.h"

#include "tests/t.h"

#include <lcms2.h>
#include <zlib.h>

#include "tests/lib/pictures.h"

static cmsHPROFILE rgb_profile(const cmsCIExyYTRIPLE *primaries, double gamma)
{
    const cmsCIExyY d65 = {0.3127, 0.3290, 1};
    const double srgb[5] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
    cmsToneCurve *curve = gamma > 0 ? cmsBuildGamma(NULL, gamma) : cmsBuildParametricToneCurve(NULL, 4, srgb);
    cmsToneCurve *const curves[3] = {curve, curve, curve};
    cmsHPROFILE p = cmsCreateRGBProfile(&d65, primaries, curves);
    cmsFreeToneCurve(curve);
    return p;
}

static cmsHPROFILE grey_profile(void)
{
    cmsToneCurve *curve = cmsBuildGamma(NULL, 1.8);
    cmsHPROFILE p = cmsCreateGrayProfile(cmsD50_xyY(), curve);
    cmsFreeToneCurve(curve);
    return p;
}

static cmsInt32Number lightness_of(const cmsUInt16Number in[], cmsUInt16Number out[], void *context)
{
    UNUSED(context);
    out[0] = (cmsUInt16Number)(65535 - in[3]); /* L */
    out[1] = out[2] = 0x8080;                  /* neither red nor yellow */
    return TRUE;
}

static cmsHPROFILE ink_profile(void)
{
    cmsHPROFILE p = cmsCreateProfilePlaceholder(NULL);
    cmsPipeline *table = cmsPipelineAlloc(NULL, 4, 3);
    cmsStage *grid = cmsStageAllocCLut16bit(NULL, 5, 4, 3, NULL);
    cmsStageSampleCLut16bit(grid, lightness_of, NULL, 0);
    cmsPipelineInsertStage(table, cmsAT_END, cmsStageAllocToneCurves(NULL, 4, NULL));
    cmsPipelineInsertStage(table, cmsAT_END, grid);
    cmsPipelineInsertStage(table, cmsAT_END, cmsStageAllocToneCurves(NULL, 3, NULL));
    cmsSetProfileVersion(p, 4.2);
    cmsSetDeviceClass(p, cmsSigOutputClass);
    cmsSetColorSpace(p, cmsSigCmykData);
    cmsSetPCS(p, cmsSigLabData);
    cmsWriteTag(p, cmsSigAToB0Tag, table);
    cmsPipelineFree(table);
    return p;
}

void t_profile(enum profile_kind kind, struct buf *out)
{
    static const cmsCIExyYTRIPLE p3 = {{0.680, 0.320, 1}, {0.265, 0.690, 1}, {0.150, 0.060, 1}},
                                 adobe = {{0.640, 0.330, 1}, {0.210, 0.710, 1}, {0.150, 0.060, 1}};
    cmsHPROFILE p = kind == PROFILE_SRGB        ? cmsCreate_sRGBProfile()
                    : kind == PROFILE_P3        ? rgb_profile(&p3, 0)
                    : kind == PROFILE_ADOBE_RGB ? rgb_profile(&adobe, 563 / 256.0)
                    : kind == PROFILE_GREY      ? grey_profile()
                                                : ink_profile();
    cmsUInt32Number len = 0;
    assert_true(p && cmsSaveProfileToMem(p, NULL, &len));
    buf_reserve(out, len);
    assert_true(cmsSaveProfileToMem(p, out->data + out->len, &len));
    out->len += len;
    cmsCloseProfile(p);
}

void t_icc_segments(const struct buf *icc, size_t part, struct buf *out)
{
    const size_t all = (icc->len + part - 1) / part;
    for (size_t i = all; i-- > 0;) {
        const size_t at = i * part, n = icc->len - at < part ? icc->len - at : part, size = 2 + 14 + n;
        const char head[18] = {
            '\xff', '\xe2', (char)(size >> 8), (char)size, 'I', 'C', 'C', '_', 'P', 'R', 'O', 'F', 'I', 'L',
            'E',    0,      (char)(i + 1),     (char)all};
        buf_add(out, head, sizeof head);
        buf_add(out, icc->data + at, n);
    }
}

void t_icc_chunk(const struct buf *icc, struct buf *out)
{
    struct buf data = {0};
    uLongf n = compressBound(icc->len);
    buf_add(&data, "name\0\0", 6);
    buf_reserve(&data, n);
    assert_int_equal(compress((Bytef *)data.data + 6, &n, (const Bytef *)icc->data, icc->len), Z_OK);
    t_png_chunk("iCCP", data.data, 6 + n, out);
    buf_clear(&data);
}

void t_icc_webp(const struct buf *icc, struct buf *out)
{
    const char size[4] = {(char)icc->len, (char)(icc->len >> 8), (char)(icc->len >> 16), 0};
    buf_text(out, "ICCP");
    buf_add(out, size, 4);
    buf_add(out, icc->data, icc->len);
    if (icc->len % 2)
        buf_char(out, 0);
}
