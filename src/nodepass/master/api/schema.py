"""The JSON of the API, as types: what requests are checked against, and what the OpenAPI document tells.

Answers are not made from these (`texts` does that, once per change and not per request); a test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from nodepass.master.model import API_KEY_ID, LONGEST_TEXT, Action, Change, Kind, Peer, Status

LONGEST_URL = 65_536
"""Characters that the URL of an instance has at most."""

Text = Annotated[str, StringConstraints(strict=True, max_length=LONGEST_TEXT)]
Url = Annotated[str, StringConstraints(strict=True, max_length=LONGEST_URL)]
Count = Annotated[int, Field(ge=0)]
ActionName = Literal["start", "stop", "restart", "reset", "reset-traffic", "toggle-restart"]


class Body(BaseModel):
    """What requests bring. Members that are not known are passed over, as v1 does; none is converted from another type."""

    model_config = ConfigDict(strict=True)


class PeerBody(Body):
    """The other end of an instance's tunnel, as a front end notes it."""

    sid: Text = ""
    type: Text = ""
    alias: Text = ""


class MetaBody(Body):
    """What front ends note about an instance: `peer` and `tags`, each replaced as a whole where it is given."""

    peer: PeerBody | None = None
    tags: dict[Text, Text] | None = None


class NewInstance(Body):
    """An instance that is to be made and started."""

    url: Url = Field(examples=["server://KEY@:10101/127.0.0.1:8080?tls=1"])
    alias: Text | None = None


class InstanceChange(Body):
    """What is to change; what is left out or null stays as it is."""

    alias: Text | None = None
    restart: bool | None = Field(None, description="Whether the instance starts with the master.")
    meta: MetaBody | None = None
    action: ActionName | None = None

    def to_change(self) -> Change:
        """The same for the core."""
        meta = self.meta or MetaBody()
        return Change(
            alias=self.alias,
            restart=self.restart,
            peer=None if meta.peer is None else Peer(meta.peer.sid, meta.peer.type, meta.peer.alias),
            tags=meta.tags,
            action=None if self.action is None else Action(self.action),
        )


class UrlReplacement(Body):
    """The URL that an instance is to have."""

    url: Url


class NewAlias(Body):
    """What the master is to be called."""

    alias: Text


class MetaAnswer(BaseModel):
    """What front ends have noted about an instance."""

    peer: PeerBody
    tags: dict[str, str]


class InstanceAnswer(BaseModel):
    """An instance, or the entry with the API key."""

    id: str = Field(description=f"8 hex digits; the entry with the API key has `{API_KEY_ID}`.", examples=["a1b2c3d4"])
    alias: str = Field(description="A name for people; of the API key's entry, the master's.")
    type: Kind | Literal[""] = Field(description="Empty for the API key.")
    status: Status | Literal[""] = Field(description="Empty for the API key.")
    url: str = Field(description="As given, and what the master fills in; or the API key.")
    config: str = Field(description="The URL with every parameter written out; or the master's ID.")
    restart: bool = Field(description="Whether the instance starts with the master.")
    meta: MetaAnswer
    mode: Count = Field(description="1 reverse or single-end, 2 forward or dual-end, 0 not known yet.")
    ping: Count = Field(description="Milliseconds to the peer; on a single-end client, to a target.")
    pool: Count = Field(description="Idle pool connections.")
    tcps: Count = Field(description="TCP sessions in progress.")
    udps: Count = Field(description="UDP sessions in progress.")
    tcprx: Count = Field(description="Bytes read from TCP users or targets.")
    tcptx: Count = Field(description="Bytes written to them.")
    udprx: Count = Field(description="Bytes read from UDP users or targets.")
    udptx: Count = Field(description="Bytes written to them.")


class InfoAnswer(BaseModel):
    """The master and its machine. Sizes are in bytes, times in seconds."""

    mid: str = Field(description="The master's ID: 16 hex digits.")
    alias: str
    os: str
    arch: str
    cpu: Count = Field(description="Percent of all cores.")
    mem_total: Count
    mem_used: Count
    swap_total: Count
    swap_used: Count
    netrx: Count = Field(description="Received since the machine started, without loopback and virtual bridges.")
    nettx: Count
    diskr: Count = Field(description="Read from disks since the machine started, without partitions.")
    diskw: Count
    sysup: Count = Field(description="Since the machine started.")
    ver: str
    name: str = Field(description="The machine's host name.")
    uptime: Count = Field(description="Since the master started.")
    log: str
    tls: str
    crt: str
    key: str


class TcpingAnswer(BaseModel):
    """What came of connecting to a target."""

    target: str
    connected: bool
    latency: Count = Field(description="Milliseconds to connect; 0 where it did not.")
    error: str | None


class HealthAnswer(BaseModel):
    """All is well."""

    status: Literal["ok"]


class ErrorAnswer(BaseModel):
    """Why a request failed."""

    error: str


class EventData(BaseModel):
    """The `data` of an event."""

    type: Literal["initial", "create", "update", "delete", "shutdown", "log"]
    time: str = Field(description="RFC 3339.")
    instance: InstanceAnswer | None
    logs: str
