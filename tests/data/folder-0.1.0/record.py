"""record.py ADMIN-URL OUT - what the server answers now, as {"keys", "answers": [{"ask", "body", "reply"}], "after_rollback"}."""
import json, os, sys, time, urllib.request

url, out = sys.argv[1:3]
key = os.environ["KEY"]


def ask(line, body=None):
    method, target = line.split()
    data = None if body is None else json.dumps(body).encode()
    r = urllib.request.Request(url + target, data, {"authorization": "Bearer " + key, "content-type": "application/json"}, method=method)
    return json.load(urllib.request.urlopen(r))


def record(lines):
    return [{"ask": line, **({} if body is None else {"body": body}), "reply": ask(line, body)} for line, body in lines]


garden = "/v1/collections/garden"
jobs = "/v1/fine_tuning/jobs"
searches = [(f"POST {garden}/search", {"id": i, "limit": 5}) for i in ("flower-1", "ball-2", "chessboard-3")]
searches += [(f"POST {garden}/search", {"id": "ball-1", "limit": 95, "exact": True}),
             (f"POST {garden}/search", {"id": "ball-1", "limit": 3, "filter": {"must": [{"key": "number", "range": {"lt": 20}}]}}),
             ("POST /v1/collections/default/search", {"id": "f1", "limit": 3, "with_vector": True})]
job = ask("GET " + jobs)["data"][0]["id"]
lines = [(f"GET {target}", None) for target in (
    "/v1/collections", garden + "/images?limit=1000", "/v1/collections/default/images", garden + "/generations",
    "/v1/models", "/v1/keys", "/v1/backups", jobs, f"{jobs}/{job}", f"{jobs}/{job}/events?limit=100",
    f"{jobs}/{job}/checkpoints")] + searches
doc = {"key": key, "reader": os.environ["READER"], "answers": record(lines)}
wanted = ask(f"POST {garden}/rollback", {})["generation"]
while ask("GET " + garden)["generation"] != wanted:
    time.sleep(0.1)
doc["after_rollback"] = record([("GET " + garden, None)] + searches)
wanted = ask(f"POST {garden}/rollback", {})["generation"]
while ask("GET " + garden)["generation"] != wanted:
    time.sleep(0.1)
json.dump(doc, open(out, "w"), indent=0, sort_keys=True)
