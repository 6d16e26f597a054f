"""Every route of instances: what it does, and what it says to bad input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nodepass.master.api.schema import InstanceAnswer
from nodepass.master.model import API_KEY_ID, Figures, Status
from tests.unit.master.api.fake import KEY, NEW_KEY, URL

if TYPE_CHECKING:
    import httpx

    from tests.unit.master.api.fake import FakeCore

FIRST = "00000001"
OTHER_URL = "client://127.0.0.1:7000/127.0.0.1:8080?mode=1"
KEY_ENTRY = f"/instances/{API_KEY_ID}"

MEMBERS = [
    *("id", "alias", "type", "status", "url", "config", "restart", "meta"),
    *("mode", "ping", "pool", "tcps", "udps", "tcprx", "tcptx", "udprx", "udptx"),
]


def error_of(answer: httpx.Response, status: int) -> str:
    """The text of an error, which has its one shape."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["error"]
    assert "s3cret" not in body["error"]
    assert isinstance(body["error"], str)
    return body["error"]


async def test_list_has_every_instance_and_the_key(api: httpx.AsyncClient) -> None:
    listed = (await api.get("/instances")).json()
    assert [entry["id"] for entry in listed] == [FIRST, "00000002", API_KEY_ID]
    for entry in listed:
        assert list(entry) == MEMBERS
        InstanceAnswer.model_validate(entry, strict=False)
    assert listed[0]["meta"] == {"peer": {"sid": "", "type": "", "alias": ""}, "tags": {}}
    assert listed[0]["type"] == "server"
    assert listed[0]["restart"] is True
    assert (listed[2]["url"], listed[2]["config"]) == (KEY, "0011223344556677")


def test_answers_have_what_the_document_says() -> None:
    assert list(InstanceAnswer.model_fields) == MEMBERS
    assert [name for name in MEMBERS if name in Figures.__slots__] == list(Figures.__slots__)


async def test_every_path_answers_with_and_without_v1(api: httpx.AsyncClient) -> None:
    plain = await api.get("http://master/api/instances")
    assert plain.status_code == 200
    assert plain.json() == (await api.get("/instances")).json()


@pytest.mark.parametrize("alias", [None, "", "Ein Name ☃", "x" * 256])
async def test_create(api: httpx.AsyncClient, core: FakeCore, alias: str | None) -> None:
    answer = await api.post("/instances", json={"url": URL, **({} if alias is None else {"alias": alias})})
    assert answer.status_code == 201
    made = answer.json()
    assert made["alias"] == (alias or "")
    assert core.get(made["id"]).url == made["url"] == URL
    assert (await api.get(f"/instances/{made['id']}")).json() == made


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_is_json_whatever_it_is_called(api: httpx.AsyncClient, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = await api.post("/instances", content=f'{{"url": "{URL}"}}'.encode(), headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "mode: expected server://, client:// or master://"),
        ("server://s3cret@:1/:2?tls=3", "tls=3: expected 0, 1 or 2"),
        ("server://s3cret@:1", "target: missing"),
        ("s3cret", "mode: expected"),
    ],
)
async def test_a_wrong_url_is_refused_as_on_the_command_line(
    api: httpx.AsyncClient, core: FakeCore, url: str, said: str
) -> None:
    for answer in (
        await api.post("/instances", json={"url": url}),
        await api.put(f"/instances/{FIRST}", json={"url": url}),
    ):
        assert error_of(answer, 400).startswith(said)
    assert len(core.all()) == 2


BAD_BODIES: list[tuple[bytes, str]] = [
    (b"", "the body: field required"),
    (b"{", "the body is not JSON: "),
    (b"\xff", "the body is not UTF-8"),
    (b"[]", "the body: input should be"),
    (b'"text"', "the body: input should be"),
    (b"null", "the body: input should be"),
    (b"[" * 200_000, "the body is nested too deep"),
    (b'{"url": NaN}', "the body is not JSON: it has no NaN"),
    (b'{"url": "a", "url": "b"}', "the body gives 'url' more than once"),
    (b'{"url": 5, "alias": 5}', "url: input should be a valid string; alias: input should be a valid string"),
    (b'{"alias": "x"}', "url: field required"),
    (b'{"url": null}', "url: input should be a valid string"),
    (b'{"url": "\\ud800"}', "url: input should be a valid string"),
    (b'{"url": 1' + b"0" * 5000 + b"}", "Exceeds the limit"),
]


@pytest.mark.parametrize(("body", "said"), BAD_BODIES)
async def test_a_wrong_body_is_told(api: httpx.AsyncClient, core: FakeCore, body: bytes, said: str) -> None:
    assert error_of(await api.post("/instances", content=body), 400).startswith(said)
    assert len(core.all()) == 2


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize("told", [True, False])
async def test_a_body_that_is_too_large_is_refused(api: httpx.AsyncClient, method: str, told: bool) -> None:
    async def parts() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    content = b" " * 2_000_000 if told else parts()
    path = "/instances" if method == "POST" else f"/instances/{FIRST}"
    error_of(await api.request(method, path, content=content), 413)


@pytest.mark.parametrize(
    ("change", "member", "value"),
    [
        ({"alias": "new"}, "alias", "new"),
        ({"restart": False}, "restart", False),
        ({"action": "stop"}, "status", "stopped"),
        ({"action": "toggle-restart"}, "restart", False),
        ({"meta": {"tags": {"a": "b"}}}, "meta", {"peer": {"sid": "", "type": "", "alias": ""}, "tags": {"a": "b"}}),
        ({"meta": {"peer": {"sid": "s"}}}, "meta", {"peer": {"sid": "s", "type": "", "alias": ""}, "tags": {}}),
        ({}, "alias", "number 0"),
        ({"alias": None, "meta": None, "restart": None, "action": None}, "alias", "number 0"),
        ({"unknown": 1}, "alias", "number 0"),
        ({"action": "reset"}, "alias", "number 0"),
        ({"action": "reset-traffic"}, "alias", "number 0"),
    ],
)
async def test_change(api: httpx.AsyncClient, change: dict[str, Any], member: str, value: object) -> None:
    answer = await api.patch(f"/instances/{FIRST}", json=change)
    assert answer.status_code == 200
    assert answer.json()[member] == value
    assert (await api.get(f"/instances/{FIRST}")).json() == answer.json()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"action": "explode", "alias": "lost"}', "action: input should be 'start'"),
        ('{"alias": "%s"}' % ("x" * 257), "alias: string should have at most 256 characters"),
        ('{"restart": 1}', "restart: input should be a valid boolean"),
        ('{"restart": "true"}', "restart: input should be a valid boolean"),
        ('{"meta": {"tags": {"a": "1", "a": "2"}}}', "the body gives 'a' more than once"),
        ('{"meta": {"tags": {"a": 1}}}', "meta.tags.a: input should be a valid string"),
        ('{"meta": {"tags": {"%s": "1"}}}' % ("k" * 257), "meta.tags"),
        ('{"meta": {"tags": {"a": "%s"}}}' % ("k" * 257), "meta.tags.a: string should have at most 256"),
        ('{"meta": {"tags": {"\\ud800": "1"}}}', "meta.tags"),
        ('{"meta": {"tags": []}}', "meta.tags: input should be a valid dictionary"),
        ('{"meta": {"peer": "x"}}', "meta.peer: input should be a valid dictionary"),
        ('{"meta": {"peer": {"sid": 1}}}', "meta.peer.sid: input should be a valid string"),
    ],
)
async def test_a_wrong_change_changes_nothing(api: httpx.AsyncClient, core: FakeCore, body: str, said: str) -> None:
    before = core.get(FIRST)
    assert error_of(await api.patch(f"/instances/{FIRST}", content=body), 400).startswith(said)
    assert core.get(FIRST) is before


async def test_replace_url(api: httpx.AsyncClient) -> None:
    answer = await api.put(f"/instances/{FIRST}", json={"url": OTHER_URL})
    assert answer.status_code == 200
    assert (answer.json()["url"], answer.json()["type"]) == (OTHER_URL, "client")
    error_of(await api.put(f"/instances/{FIRST}", json={"url": OTHER_URL}), 409)


async def test_delete(api: httpx.AsyncClient, core: FakeCore) -> None:
    answer = await api.delete(f"/instances/{FIRST}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert [instance.id for instance in core.all()] == ["00000002"]


@pytest.mark.parametrize("id_", ["ffffffff", "*", "%00", "x" * 5000, "%F0%9F%92%A9"])
async def test_an_unknown_id_is_404(api: httpx.AsyncClient, id_: str) -> None:
    path = f"/instances/{id_}"
    error_of(await api.get(path), 404)
    error_of(await api.patch(path, json={}), 404)
    error_of(await api.put(path, json={"url": URL}), 404)
    error_of(await api.delete(path), 404)


async def test_what_cannot_be_stored_is_refused_and_reads_go_on(api: httpx.AsyncClient, core: FakeCore) -> None:
    core.broken = True
    said = "the state cannot be written: no space left on device"
    assert error_of(await api.post("/instances", json={"url": URL}), 503) == said
    assert error_of(await api.patch(f"/instances/{FIRST}", json={}), 503) == said
    assert error_of(await api.put(f"/instances/{FIRST}", json={"url": OTHER_URL}), 503) == said
    assert error_of(await api.delete(f"/instances/{FIRST}"), 503) == said
    assert (await api.get("/instances")).status_code == 200


async def test_the_list_is_made_anew_of_what_has_changed(api: httpx.AsyncClient, core: FakeCore) -> None:
    assert (await api.get("/instances")).json()[0]["status"] == "running"
    await api.patch(f"/instances/{FIRST}", json={"action": "stop"})
    assert (await api.get("/instances")).json()[0]["status"] == "stopped"
    assert core.get(FIRST).status is Status.STOPPED


async def test_another_key(api: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    answer = await api.patch(KEY_ENTRY, json={"action": "restart"})
    assert answer.json()["url"] == NEW_KEY
    error_of(await api.get("/instances"), 401)
    new = await stranger.get(KEY_ENTRY, headers={"X-API-Key": NEW_KEY})
    assert new.json() == answer.json()


async def test_the_master_is_named_by_its_entry_or_by_info(api: httpx.AsyncClient) -> None:
    assert (await api.patch(KEY_ENTRY, json={"alias": "one"})).json()["alias"] == "one"
    assert (await api.get("/info")).json()["alias"] == "one"
    assert (await api.post("/info", json={"alias": "two"})).json()["alias"] == "two"
    assert (await api.get(KEY_ENTRY)).json()["alias"] == "two"


async def test_the_key_entry_is_not_stopped_replaced_or_deleted(api: httpx.AsyncClient, core: FakeCore) -> None:
    assert error_of(await api.patch(KEY_ENTRY, json={"action": "stop"}), 400).startswith("action=stop: expected restart")
    error_of(await api.put(KEY_ENTRY, json={"url": URL}), 403)
    error_of(await api.delete(KEY_ENTRY), 403)
    assert core.master.api_key.reveal() == KEY
