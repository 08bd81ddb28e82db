"""From a question in DNS' wire format to the mesh's answer to it, or the finding that somebody else must be asked.

Nothing but bytes in and out. Only addresses are answered for; everything else goes to the name servers of the pod.

Source  RFC 1035, RFC 2308 (a name without such a record), RFC 6891 (sizes); istio/istio ``pkg/dns/client/dns.go``.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from pilotpy.agent.name_book import NameBook

_SECONDS_TO_KEEP: Final = 30
_VERSIONS: Final = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}
_PLAIN_UDP: Final = 512


class Elsewhere(Enum):
    """What stands instead of an answer."""

    FORWARD = auto()  # a name server of the pod may know
    NOTHING = auto()  # not a question; to answer it would be to talk to whoever pretended to ask


def answer(question: bytes, book: NameBook | None, *, udp: bool) -> bytes | Elsewhere:
    """The answer to a question, its addresses in an order of chance. ``book``: None before the first table."""
    try:
        asked = dns.message.from_wire(question, ignore_trailing=True)
    except dns.exception.DNSException:
        return Elsewhere.NOTHING
    if asked.flags & dns.flags.QR:
        return Elsewhere.NOTHING
    if len(asked.question) != 1 or asked.opcode() != dns.opcode.QUERY:
        return Elsewhere.FORWARD
    (one,) = asked.question
    version = _VERSIONS.get(one.rdtype)
    if version is None or one.rdclass != dns.rdataclass.IN:
        return Elsewhere.FORWARD
    if book is None:
        return failure(question)
    found = book.find(one.name.to_text(omit_final_dot=True), version=version)
    if found is None:
        return Elsewhere.FORWARD
    made = dns.message.make_response(asked, recursion_available=True)
    made.flags |= dns.flags.AA
    owner = one.name
    if found.name != one.name.to_text(omit_final_dot=True).lower():
        owner = dns.name.from_text(found.name)
        made.answer.append(
            dns.rrset.from_text(one.name, _SECONDS_TO_KEEP, dns.rdataclass.IN, dns.rdatatype.CNAME, owner.to_text())
        )
    if found.addresses:
        held = dns.rrset.from_text(owner, _SECONDS_TO_KEEP, dns.rdataclass.IN, one.rdtype, *found.addresses)
        made.answer.append(held)  # to_wire shuffles it
    size = max(asked.payload, _PLAIN_UDP) if udp else 0
    return made.to_wire(max_size=size, prefer_truncation=True)


def failure(question: bytes) -> bytes | Elsewhere:
    """The answer that there is none now: SERVFAIL."""
    try:
        made = dns.message.make_response(
            dns.message.from_wire(question, ignore_trailing=True), recursion_available=True
        )
    except dns.exception.DNSException:
        return Elsewhere.NOTHING
    made.set_rcode(dns.rcode.SERVFAIL)
    return made.to_wire()


def is_answer_to(reply: bytes, question: bytes) -> bool:
    """Whether what came back has the question's number and asks the same: else somebody guesses."""
    try:
        return dns.message.from_wire(question, ignore_trailing=True).is_response(
            dns.message.from_wire(reply, ignore_trailing=True)
        )
    except dns.exception.DNSException:
        return False
