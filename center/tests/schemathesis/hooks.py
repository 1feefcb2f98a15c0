"""What schemathesis is told of the center beside its description.

QUECOTA_CALLER is who asks: nobody, end-user, viewer, operator or administrator. QUECOTA_KNOWN is a JSON object: for each name
in a path the values that there are, and under `kept` the numbers of the tokens that the run itself needs.
"""

import itertools
import json
import os
import re
import zlib

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import RejectedPositiveData

CALLER = os.environ["QUECOTA_CALLER"]
KNOWN = json.loads(os.environ["QUECOTA_KNOWN"])
ROLES = ["viewer", "operator", "administrator"]
OWN_DEVICE = ("p1", "d1")
NUMBERS = itertools.count()

# Rules that no schema says: of several fields together, of what else there is, or of single characters.
BEYOND_A_SCHEMA = [
    re.compile(rule)
    for rule in (
        r"U\+0000",
        r"which nobody sees",
        r"\(U\+0020\): take it out",
        r"a name is no number",
        r"^password: (not one character again and again|it must )",
        r"one of both$",
        r"either `devices`, a list of device keys, or `filter`",
        r"leave the products out$",
        r"only an appointment has a window",
        r"an appointment names its window",
        r"which the path names: leave the field out$",
        r"the product of a saved plan cannot be changed",
        r"is for component ",
        r"an IANA name, such as",
        r"it has passed, now is ",
        r"a delta package leads from one version to another",
        r"(^|: )there is no ",
        r"has exactly one file",
        # What makes files here heeds no length.
        r"the file is empty",
        # Of a text file's lines, and of bytes where a schema counts characters.
        r": line \d+: ",
        r'component "[^"]*([^\x00-\x7f]|\\u\{).*": 1 to 32 bytes',
        r": it must be there before it is named here$",
    )
]


def is_negative(case, location):
    return case.meta is not None and case.meta.is_negative_at(location)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Of four valid paths three lead to something that there is; webhooks lead to this machine; tokens of the run stay."""
    chance = zlib.crc32(repr((case.method, case.path, case.path_parameters, case.query, case.body)).encode())
    if not is_negative(case, ParameterLocation.PATH):
        for name in case.path_parameters or {}:
            there = KNOWN.get(name, [])
            if there and chance % 4:
                case.path_parameters[name] = there[chance // 4 % len(there)]
                chance //= 4
    if not is_negative(case, ParameterLocation.HEADER) and case.headers:
        # A made-up tag fits nothing, and a key that was sent before leads no further.
        if chance % 4:
            case.headers.pop("If-Match", None)
        if "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = f"{CALLER}-{os.getpid()}-{next(NUMBERS)}"
    if case.method == "DELETE" and case.path == "/api/v1/tokens/{token}":
        if str(case.path_parameters["token"]) in KNOWN["kept"]:
            case.path_parameters["token"] = 1_000_000
    if "/webhooks" in case.path and isinstance(case.body, dict) and "://" in str(case.body.get("url")):
        case.body["url"] = "http://127.0.0.1:9/hook"


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what is no failure of the center's."""
    if isinstance(failure, RejectedPositiveData) and response.status_code == 422:
        problem = response.json()
        return not any(rule.search(problem["detail"]) for rule in BEYOND_A_SCHEMA)
    if isinstance(failure, AcceptedNegativeData) and is_negative(case, ParameterLocation.BODY):
        # Whatever is written into a text file is text.
        return case.media_type != "text/csv"
    return True


def wanted_status(operation, case):
    """The status with which this caller is refused; none: they are not."""
    role, reach = operation.get("x-required-role"), operation.get("x-reach")
    if role is None:
        return None
    if CALLER == "nobody":
        return 401
    if CALLER == "end-user":
        names = case.path_parameters or {}
        is_own = reach == "device" and (str(names.get("pk")), str(names.get("dk"))) == OWN_DEVICE
        return None if is_own else 403
    return None if ROLES.index(CALLER) >= ROLES.index(role) else 403


@schemathesis.check
def what_the_role_may(ctx, response, case):
    """Who lacks what the route requires is refused, whatever they send; an administrator is not."""
    operation = case.operation.definition.raw
    status, wanted = response.status_code, wanted_status(operation, case)
    # A path that is none of this route, or a method that it does not take, is another route, or none.
    is_other = is_negative(case, ParameterLocation.PATH) or case.method.upper() != case.operation.method.upper()
    if wanted is None:
        is_wrong = CALLER == "administrator" and status in (401, 403) and "x-required-role" in operation
    else:
        is_wrong = status != wanted and not (is_other and status in (400, 401, 403, 404, 405, 422))
    if is_wrong:
        raise Failure(
            operation=case.operation.label,
            title="A role is not what the description says",
            message=f"{CALLER} got {status}, and {wanted or 'no refusal'} is right",
        )
