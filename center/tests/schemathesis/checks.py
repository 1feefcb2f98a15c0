"""Beside schemathesis's own checks: nobody does what their role may not."""

import os

import schemathesis

RANKS = {"viewer": 1, "operator": 2, "administrator": 3}
CALLER = os.environ["QUECOTA_CALLER"]


def is_allowed(operation):
    needed = operation.get("x-required-role")
    if needed is None:
        return True
    if CALLER == "end user":
        return operation["x-reach"] == "device"
    return RANKS.get(CALLER, 0) >= RANKS[needed]


@schemathesis.check
def nothing_beyond_the_role(ctx, response, case):
    if is_allowed(case.operation.definition.raw):
        return
    # A request that is malformed beyond routing (a path of another shape, a method that there is not) never meets a role.
    if response.status_code not in (401, 403, 404, 405):
        raise AssertionError(f"{CALLER} may not, and was answered {response.status_code}")
    if CALLER == "nobody" and response.status_code == 403:
        raise AssertionError("nobody was taken for somebody")
