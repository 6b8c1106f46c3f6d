"""A load balancer is reached by the names that lead to it, on every path, and its ids are AWS's.

AWS: ids in the ARNs of load balancers, listeners and target groups are 16 hexadecimal digits, and the full name of a
target group is like "targetgroup/my-target-group/cbf133c568e0d028" (CloudFormation template reference). An alias or
CNAME record of Route 53 leads to a load balancer, and every path goes to its listener.
MiniStack: ids have letters up to z, the full name lacks its first part. Requests with the load balancer's own name in
`Host` reach it, those with the name of a record do not; /health and other paths are answered by MiniStack itself.
Mended by hexadecimal ids, by looking into Route 53's records, and by asking the load balancer first. The port of `Host`
chooses the listener, 80 without one: `Host: api.example.com:443` on the port of the embedded cloud is the HTTPS
listener, which speaks HTTP here.
"""

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from ministack import app
from ministack.services import alb, route53
from ministack.services.cloudformation import provisioners

from tidegate_local.seam import expect, expect_attributes, graft

Json = dict[str, Any]
KIND = "AWS::ElasticLoadBalancingV2::TargetGroup"
_NO_NAME = re.compile(r"[0-9.]*|localhost|\[.*", re.IGNORECASE)
_REQUEST = "(method: str, path: str, headers: dict, query_params: dict, request_id: str)"
_WITH_BODY = "(method: str, path: str, headers: dict, body: bytes, query_params: dict, request_id: str)"
_DATA = (
    "(method: str, path: str, headers: dict, body: bytes, query_params: dict, request_id: str, "
    "raw_path: str | None = None, raw_query_string: str = '', client_ip: str = '127.0.0.1')"
)


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    _mend_ids()
    expect_attributes(route53, "_records")
    find = expect(alb, "find_lb_for_host", signature="(host)")

    def find_lb_for_host(host: str) -> Any:
        name = host.partition(":")[0].lower()
        if _NO_NAME.fullmatch(name):
            return None  # at the address of the embedded cloud itself, as nearly every request
        return find(host) or next(filter(None, map(find, _aliased(name))), None)

    graft(alb, "find_lb_for_host", find_lb_for_host, signature="(host)")

    def potential(host: str, path: str) -> bool:
        return guess(host, path) or find_lb_for_host(host) is not None

    guess = graft(app, "_is_potential_alb_request", potential, signature="(host: str, path: str) -> bool")
    dispatch = expect(
        app,
        "_handle_alb_request",
        signature="(host: str, path: str, method: str, headers: dict, body: bytes, query_params: dict, "
        "raw_query_string: str | None = None, raw_path: str | None = None)",
    )

    async def data_plane(
        method: str, path: str, headers: Json, body: bytes, query: Json, request_id: str, **more: Any
    ) -> Any:
        host = headers.get("host", "")
        if find_lb_for_host(host) is None:
            return await others(method, path, headers, body, query, request_id, **more)
        raw = more.get("raw_query_string"), more.get("raw_path")
        return await dispatch(host, path, method, headers, body, query, *raw)

    others = graft(app, "_handle_special_data_plane_request", data_plane, signature=_DATA)
    for name, signature in (
        ("_handle_pre_body_request", _REQUEST),
        ("_handle_post_body_shortcuts", _WITH_BODY),
    ):
        expect(app, name, signature=signature)
        setattr(app, name, _unless_balanced(getattr(app, name), find_lb_for_host))


def _unless_balanced(
    answer: Callable[..., Awaitable[Any]], find: Callable[[str], Any]
) -> Callable[..., Awaitable[Any]]:
    """What MiniStack answers on some paths, but not where a load balancer listens."""

    async def answered(method: str, path: str, headers: Json, *more: Any) -> Any:
        if find(headers.get("host", "")) is not None:
            return None
        return await answer(method, path, headers, *more)

    return answered


def _aliased(name: str) -> list[str]:
    """Where the records of this name lead."""
    found = []
    for records in route53._records.values():
        for record in records:
            if record["Name"].rstrip(".").lower() != name:
                continue
            targets = [record.get("AliasTarget", {}).get("DNSName", "")]
            if record["Type"] == "CNAME":
                targets += [
                    each if isinstance(each, str) else each["Value"]
                    for each in record.get("ResourceRecords", [])
                ]
            found += [target.rstrip(".").removeprefix("dualstack.") for target in targets if target]
    return found


def _mend_ids() -> None:
    graft(alb, "_short_id", lambda: secrets.token_hex(8), signature="()", shows="string.ascii_lowercase")
    expect_attributes(provisioners, "_RESOURCE_HANDLERS")
    expect_attributes(alb, "_tgs", "_targets", "_tags", "_tg_attrs")
    expect(alb, "_target_group_full_name_from_arn", signature="(arn: str) -> str")

    def make(logical_id: str, props: Json, stack_name: str) -> tuple[str, Json]:
        # It draws an id of its own.
        drawn, attributes = made(logical_id, props, stack_name)
        arn = f"{drawn.rpartition('/')[0]}/{secrets.token_hex(8)}"
        for store in (alb._tgs, alb._targets, alb._tags, alb._tg_attrs):
            store[arn] = store.pop(drawn)
        alb._tgs[arn]["TargetGroupArn"] = arn
        return arn, named(arn, attributes)

    def change(own: str, old: Json, new: Json, *more: Any) -> tuple[str, Json]:
        arn, attributes = changed(own, old, new, *more)
        return arn, named(arn, attributes)

    def named(arn: str, attributes: Json) -> Json:
        full = f"targetgroup/{alb._target_group_full_name_from_arn(arn)}"
        return {**attributes, "TargetGroupArn": arn, "TargetGroupFullName": full}

    made = graft(
        provisioners,
        "_elbv2_target_group_create",
        make,
        signature="(logical_id, props, stack_name)",
        shows="_string.ascii_lowercase + _string.digits",
    )
    changed = provisioners._RESOURCE_HANDLERS[KIND]["update"]
    provisioners._RESOURCE_HANDLERS[KIND].update(create=make, update=change)
