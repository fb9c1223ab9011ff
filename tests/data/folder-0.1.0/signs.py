"""signs.py IN OUT - a safetensors file of torchvision's names with every weight as +s or -s, s the tensor's root mean square."""
import json, struct, sys

source, target = sys.argv[1:3]
raw = open(source, "rb").read()
begin = 8 + struct.unpack("<Q", raw[:8])[0]
data = bytearray(raw)
for name, t in json.loads(raw[8:begin]).items():
    if name == "__metadata__" or len(t["shape"]) < 2:
        continue
    lo, hi = (begin + o for o in t["data_offsets"])
    v = struct.unpack(f"<{(hi - lo) // 4}f", raw[lo:hi])
    s = (sum(x * x for x in v) / len(v)) ** 0.5
    data[lo:hi] = struct.pack(f"<{len(v)}f", *[s if x > 0 else -s for x in v])
open(target, "wb").write(data)
