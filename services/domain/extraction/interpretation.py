"""Turns a model's answer into memories to save, and what it did not find into the speakers' own words.

A pure function of the answer, the messages and what was shown with them, so that a retry decides alike. What a model
says counts only as far as the messages that it cites bear it out; whose memory it is, and whether it may be a rule, is
decided by who said it.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from services.domain.extraction import guards
from services.domain.extraction.answers import Proposal, read_answer
from services.domain.extraction.decisions import Decision, joined
from services.domain.extraction.known import KnownMemory, known_about
from services.domain.extraction.owners import Rights, choose_owner, persons
from services.domain.extraction.slugs import about_the_same, derived_slug, distinct_slug, proposed_slug
from services.domain.extraction.statements import Statement, find_statements
from services.domain.extraction.topics import telling_words, topic
from services.domain.extraction.wording import any_word, comparable
from services.domain.grounding import check
from services.domain.memories import Owner
from services.domain.messages import ArchivedMessage
from services.domain.words import fold, sentences

LONGEST = 600  # characters
# More is no citation: whoever cites everything is borne out by something.
MOST_SOURCES = 8
_OF_THE_ASSISTANT = re.compile(r"^(?:the |el |la |an? )?(?:assistant|asistente|ai|bot|chatbot|model)\b")
_ENDS = any_word(
    r"""
    not no never any_?more stopped quit cancelled canceled over ended finished sold forget delete remove wrong false
    ya_no dej[eo] termin\w+ cancel\w+ vendi olvida borra elimina se_acabo falso equivocad[oa] nunca
    """
)
_CONTRADICTS = re.compile(
    r"^(?:no\b|nope\b|wrong\b|(?:that|this) is (?:not|wrong)|not (?:true|right|correct)|eso no|incorrecto|falso)"
)


def interpret(
    answer: str, messages: Sequence[ArchivedMessage], known: Sequence[KnownMemory], rights: Rights
) -> list[Decision]:
    """Decide what to save, in the order in which it was said.

    A model that shows in its answer that it can cite is trusted with what it left out; only what it got wrong is looked
    for in the messages that it meant. One that said nothing true, or broke off, is no reason to forget what was plainly
    said: then the rules read all messages. That nothing is worth remembering is an answer like any other.
    """
    read = read_answer(answer)
    reading = _Reading(messages, known, rights)
    failed = [proposal for proposal in read.proposals if not reading.take(proposal)]
    if read.whole and (reading.decisions or not read.proposals):
        meant = {number for proposal in failed for number in proposal.sources}
        left = [message for number, message in enumerate(messages, start=1) if number in meant]
    else:
        left = list(messages)
    for statement in find_statements(left):
        reading.keep(statement)
    return sorted(reading.decisions, key=lambda decision: decision.asserted_at)


class _Reading:
    def __init__(self, messages: Sequence[ArchivedMessage], known: Sequence[KnownMemory], rights: Rights) -> None:
        self.decisions: list[Decision] = []
        self._messages = messages
        self._known = known
        self._rights = rights
        self._persons = {message.seq: person for message, person in zip(messages, persons(messages), strict=True)}
        self._contradicted = {
            before.seq
            for before, after in pairwise(messages)
            if after.role == "user" and _CONTRADICTS.match(comparable(after.content))
        }

    # -- what a model proposes ---------------------------------------------------------------------------------------

    def take(self, proposal: Proposal) -> bool:
        """Add what the proposal comes to; False where its messages do not bear it out."""
        cited = [self._messages[number - 1] for number in proposal.sources if 0 < number <= len(self._messages)]
        if not cited or len(cited) > MOST_SOURCES or len(proposal.text) > LONGEST:
            return False
        if any(one.content == proposal.text for one in self.decisions):
            return True
        speakers = list(dict.fromkeys(self._persons[message.seq] for message in reversed(cited)))
        for person in speakers:
            own = [message for message in cited if self._persons[message.seq] == person]
            if person and (decision := self._borne_out(proposal, person, own)):
                self._add(decision)
                return True
        return False

    def _borne_out(self, proposal: Proposal, person: Owner, cited: list[ArchivedMessage]) -> Decision | None:
        said = [message for message in cited if message.role == "user"]
        if proposal.action == "ended":
            return self._ended(proposal, person, said)
        if not topic(proposal.text) or _OF_THE_ASSISTANT.match(fold(proposal.text)):
            return None
        spoken = _about(proposal.text, said)
        if guards.suspicious(proposal.text) or any(guards.suspicious(sentence) for sentence in spoken):
            return self._as_said(person, said, proposal.text)
        sources = self._sources(proposal, said, cited)
        if sources is None:
            return None
        owner = choose_owner(self._rights, person, " ".join(spoken)) if sources == said else person
        changed = self._changed(proposal, person)
        if changed and about_the_same(proposal.text, changed.content):
            return Decision(changed.owner, changed.slug, proposal.kind, proposal.text, "model", tuple(sources))
        slug = self._slug(proposal, owner, max(message.sent_at for message in sources))
        return Decision(owner, slug, proposal.kind, proposal.text, "model", tuple(sources))

    def _sources(
        self, proposal: Proposal, said: list[ArchivedMessage], cited: list[ArchivedMessage]
    ) -> list[ArchivedMessage] | None:
        """Give the messages that bear the text out: the person's own if they do, else with what they were told.

        What tools and assistants say is never a rule, nor their guesses, nor what the person denied.
        """
        if said and check(proposal.text, said).grounded:
            return said
        if proposal.kind == "procedural" or guards.prescribes(proposal.text):
            return None
        heard = [message for message in cited if message.seq not in self._contradicted]
        certain = [message if message.role == "user" else _without_guesses(message) for message in heard]
        return heard if heard and check(proposal.text, certain).grounded else None

    def _ended(self, proposal: Proposal, person: Owner, said: list[ArchivedMessage]) -> Decision | None:
        known = self._changed(proposal, person)
        if known is None:
            return None
        spoken = [
            one for one in _about(known.content, said) if topic(one) & known.topic() and not guards.suspicious(one)
        ]
        if not any(_ENDS.search(comparable(sentence)) and "?" not in sentence for sentence in spoken):
            return None
        return Decision(known.owner, known.slug, known.kind, None, "model", tuple(said))

    def _changed(self, proposal: Proposal, person: Owner) -> KnownMemory | None:
        """Give the known memory that the proposal names, if this person may change it."""
        if proposal.action == "new" or proposal.known is None or not 0 < proposal.known <= len(self._known):
            return None
        known = self._known[proposal.known - 1]
        return known if self._rights.speaks_for(known.owner, person) else None

    def _slug(self, proposal: Proposal, owner: Owner, said_at: datetime) -> str:
        words = telling_words(proposal.text)
        slug = proposed_slug(proposal.slug) or derived_slug(proposal.kind, words, said_at)
        taken = {one.slug: one.content for one in self._known_to(owner)}
        if slug not in taken or about_the_same(proposal.text, taken[slug]):
            return slug
        return distinct_slug(slug, words, taken)

    def _as_said(self, person: Owner, said: list[ArchivedMessage], text: str) -> Decision | None:
        """Keep what speaks of rights or of everybody as something that this person once said, if it is no order."""
        kept = [
            (message, sentence)
            for message in said
            for sentence in _about(text, [message])
            if guards.tells_of_oneself(sentence) and not guards.holds_a_secret(sentence) and "?" not in sentence
        ]
        if not kept:
            return None
        message = kept[-1][0]
        content = " ".join(sentence for source, sentence in kept if source is message)
        slug = derived_slug("episodic", telling_words(content), message.sent_at)
        return Decision(person, slug, "episodic", f"{message.speaker}: {content}", "verbatim", (message,))

    # -- what was said -----------------------------------------------------------------------------------------------

    def keep(self, statement: Statement) -> None:
        """Keep a statement in its speaker's words, unless a memory of the same message says it already."""
        person = self._persons[statement.message.seq]
        if person is None:
            return
        owner = choose_owner(self._rights, person, statement.text)
        known = self._known_to(owner)
        about = known_about(statement, known)
        kind = statement.kind or (about.kind if about and statement.changes else None)
        if kind is None or self._says_it(statement):
            return
        slug = (
            about.slug if about else derived_slug(kind, statement.words, statement.message.sent_at, slot=statement.slot)
        )
        content = f"{statement.message.speaker}: {statement.text}"
        self._add(Decision(owner, slug, kind, content, "verbatim", (statement.message,)))

    def _says_it(self, statement: Statement) -> bool:
        words = topic(statement.text)
        return any(
            decision.made_by == "model"
            and statement.message in decision.sources
            and 2 * len(words & topic(decision.content or "")) >= len(words)
            for decision in self.decisions
        )

    # -- both --------------------------------------------------------------------------------------------------------

    def _known_to(self, owner: Owner) -> list[KnownMemory]:
        """Give what is known of an owner, with what was decided so far; the later of one slug counts."""
        decided = [KnownMemory(one.owner, one.slug, one.kind, one.content) for one in self.decisions if one.content]
        latest = {one.slug: one for one in (*self._known, *decided) if one.owner == owner}
        return list(latest.values())

    def _add(self, decision: Decision) -> None:
        """Add a decision; what one message says of one thing is one memory."""
        for index, one in enumerate(self.decisions):
            if (one.owner, one.slug, one.asserted_at) == (decision.owner, decision.slug, decision.asserted_at):
                self.decisions[index] = joined(one, decision)
                return
        self.decisions.append(decision)


def _about(text: str, said: Sequence[ArchivedMessage]) -> list[str]:
    """Give the sentences that speak of the same as a text; all of them where none does."""
    wanted = topic(text)
    every = [sentence for message in said for sentence in sentences(message.content)]
    return [sentence for sentence in every if topic(sentence) & wanted] or every


def _without_guesses(message: ArchivedMessage) -> ArchivedMessage:
    if message.role == "tool":
        return message
    certain = (sentence for sentence in sentences(message.content) if not guards.guesses(sentence))
    return replace(message, content="\n".join(certain))
