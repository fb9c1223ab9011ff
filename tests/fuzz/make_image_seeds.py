#!/usr/bin/python3
"""Makes the seeds of tests/fuzz/corpus/image with Pillow, from a drawn picture.  Run from the root.
no-end.jpg, profile.*, raw-exif.png and corpus/icc were written by tests/lib/pictures.c and tests/lib/profiles.c."""

from PIL import Image

OUT = "tests/fuzz/corpus/image/"
picture = Image.open("tests/golden/preprocess/in_small.png").convert("RGB").resize((24, 17))
exif = Image.Exif()
exif[0x0112] = 6
alpha = picture.convert("RGBA")
alpha.putalpha(picture.convert("L"))

picture.save(OUT + "base.jpg", quality=60, exif=exif)
picture.save(OUT + "progressive.jpg", quality=60, progressive=True)
picture.save(OUT + "whole.jpg", quality=90, subsampling=0, optimize=True)
picture.convert("L").save(OUT + "grey.jpg", quality=60)
picture.convert("CMYK").save(OUT + "inks.jpg", quality=50)
picture.save(OUT + "rgb.png", exif=exif)
alpha.save(OUT + "alpha.png")
picture.quantize(8).save(OUT + "palette.png", transparency=3)
picture.convert("1").save(OUT + "bits.png")
picture.convert("L").convert("I").point(lambda v: v * 257).convert("I;16").save(OUT + "deep.png")
picture.save(OUT + "lossy.webp", quality=50, exif=exif)
alpha.save(OUT + "alpha.webp", quality=50)
alpha.save(OUT + "lossless.webp", lossless=True)
picture.save(OUT + "animated.webp", save_all=True, append_images=[picture.rotate(90)])
