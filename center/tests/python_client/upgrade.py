"""One whole upgrade over the API, by a client that was generated from its description.

Arguments: the center's address, a token, the product's secret, the firmware's file. Prints "ready" when devices may come, and ends
when the plan's one device is upgraded.
"""

import sys
import time
from io import BytesIO
from pathlib import Path

from quecota_client import AuthenticatedClient
from quecota_client.api.devices import list_upgrades_of_device
from quecota_client.api.plans import activate_plan, show_plan
from quecota_client.api.products import add_component, create_product, save_plan, show_product, upload_version_package
from quecota_client.models import AddComponentBody, CreateProductBody, Problem, SavePlanBody, UploadVersionPackageBody
from quecota_client.types import File

PRODUCT, DEVICE = "p1python", "860000000000077"
DEADLINE = time.monotonic() + 300


def done(answer):
    """What was answered, which is no problem."""
    if answer.parsed is None or isinstance(answer.parsed, Problem):
        sys.exit(f"{answer.status_code}: {answer.content!r}")
    return answer.parsed


def main():
    address, token, secret, firmware = sys.argv[1:]
    client = AuthenticatedClient(base_url=address, token=token)
    product = CreateProductBody.from_dict({"key": PRODUCT, "name": "Pump", "secret": secret})
    done(create_product.sync_detailed(client=client, body=product, idempotency_key="python-1"))
    again = done(create_product.sync_detailed(client=client, body=product, idempotency_key="python-1"))
    assert again.key == PRODUCT and again.secret == secret, again
    component = AddComponentBody.from_dict({"id": "MCU", "type": "mcu"})
    done(add_component.sync_detailed(PRODUCT, client=client, body=component))
    content = Path(firmware).read_bytes()
    form = UploadVersionPackageBody(
        component="MCU", name="two", target="2", file=[File(payload=BytesIO(content), file_name="mcu.bin")]
    )
    package = done(upload_version_package.sync_detailed(PRODUCT, client=client, body=form))
    assert package.files[0].size == len(content), package
    settings = {
        "name": "to two",
        "product": PRODUCT,
        "time_zone": "UTC",
        "components": [{"component": "MCU", "package": package.id}],
    }
    plan = done(save_plan.sync_detailed(PRODUCT, client=client, body=SavePlanBody.from_dict(settings)))
    active = done(activate_plan.sync_detailed(plan.id, client=client))
    assert active.state.value == "activated", active
    missing = show_product.sync_detailed("p1pytho", client=client)
    assert isinstance(missing.parsed, Problem) and missing.parsed.next_ == f"did you mean {PRODUCT}?", missing
    print("ready", flush=True)
    while time.monotonic() < DEADLINE:
        shown = done(show_plan.sync_detailed(plan.id, client=client))
        if shown.devices.failed:
            sys.exit(f"it failed: {shown}")
        if shown.devices.upgraded == 1:
            upgrades = done(list_upgrades_of_device.sync_detailed(PRODUCT, DEVICE, client=client))
            assert upgrades.items[0].state.value == "upgraded", upgrades
            print("upgraded", upgrades.items[0].components[0].target, flush=True)
            return
        time.sleep(0.2)
    sys.exit("no device was upgraded in time")


main()
