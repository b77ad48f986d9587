"""A model that finds in a conversation the memories that it was told to find, by the numbers that it is shown."""

import json
import re
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """What to answer where a message says `where`; `known` is the slug of the known memory that changed or ended."""

    where: str
    text: str
    kind: str = "semantic"
    slug: str = "some_topic"
    action: str = "new"
    known: str | None = None


@dataclass
class Remembering:
    """Answers every request, as `OpenAIServer` asks it to."""

    findings: list[Finding] = field(default_factory=list)
    summary: str = "The user moved to Lima."

    def __call__(self, request: dict[str, Any]) -> str:
        if not asks_for_memories(request):
            return self.summary
        shown = str(request["messages"][-1]["content"])
        proposals = [_proposal(finding, shown) for finding in self.findings]
        return json.dumps({"memories": [proposal for proposal in proposals if proposal["sources"]]})


def asks_for_memories(request: dict[str, Any]) -> bool:
    return "response_format" in request


def _proposal(finding: Finding, shown: str) -> dict[str, Any]:
    known = re.search(rf"^K(\d+)\. {re.escape(finding.known)}: ", shown, re.MULTILINE) if finding.known else None
    conversation = shown.partition("<conversation>")[2]
    said = re.finditer(r"^(\d+)\. .*(?:\n   .*)*", conversation, re.MULTILINE)
    return {
        "action": finding.action,
        "kind": finding.kind,
        "slug": finding.slug,
        "text": finding.text,
        "sources": [int(match.group(1)) for match in said if finding.where in match.group()],
        "known": int(known.group(1)) if known else None,
    }
