"""Reads `mux cat --json` and holds the demonstration's outcome against its script."""
import base64
import json
import sys

EXPECTED = {
    "test_calm.Calm.test_addition": "success",
    "test_calm.Calm.test_handshake": "success",
    "test_calm.Calm.test_elsewhere": "skip",
    "test_failing.Failing.test_wrong_sum": "fail",
    "test_failing.Failing.test_missing_key": "fail",
    "test_failing.Failing.test_fine": "success",
    "test_crashing.Crashing.test_1_before": "success",
    "test_crashing.Crashing.test_2_crash": "died",
    "test_noisy.Noisy.test_chatter": "success",
    "test_noisy.Noisy.test_junk": "success",
}
WORDS = {
    "success": "passed",
    "skip": "skipped",
    "fail": "FAILED",
    "died": "FAILED (muxd says: its worker died)",
}

outcome, routes, chatter = {}, {}, {}
for line in sys.stdin:
    event = json.loads(line)
    test, route = event["test_id"], event["route_code"]
    if test and event["test_status"] not in (None, "exists"):
        by_muxd = event["file_name"] == "muxd" and event["test_status"] == "fail"
        outcome[test] = "died" if by_muxd else event["test_status"]
        routes.setdefault(test.split(".")[0], set()).add(route)
    elif test is None and event["file_name"] == "stdout":
        chatter[route] = chatter.get(route, b"") + base64.b64decode(event["file_b64"])

for module in sorted(routes):
    print("  worker %s ran %s:" % ("+".join(sorted(routes[module])), module))
    for test in sorted(t for t in outcome if t.startswith(module + ".")):
        print("    %-40s %s" % (test.split(".", 1)[1], WORDS.get(outcome[test], outcome[test])))

noisy = next(iter(routes.get("test_noisy", {None})))
faults = []
if outcome != EXPECTED:
    faults.append("outcomes differ: %r" % sorted(set(outcome.items()) ^ set(EXPECTED.items())))
if len(routes) != 4 or len(set.union(*routes.values())) != 4:
    faults.append("every worker should have one route code of its own: %r" % routes)
if "27".encode() not in chatter.get(noisy, b"") or b"\xff\xfe" not in chatter.get(noisy, b""):
    faults.append("the noisy worker's output is not under its route code")
for fault in faults:
    print("not as scripted: " + fault)
sys.exit(1 if faults else 0)
