"""What must never become a rule or reach another owner, however it is worded.

A memory is shown to a model later, so a chat can try to plant orders there: that all users are admins, that earlier
instructions do not count. Whatever speaks of rights, secrets, everybody or instructions is `suspicious`. The lists are
wide on purpose: an honest sentence that is caught only stays what its own speaker once said.
"""

import re

from services.domain.extraction.wording import one_of
from services.domain.words import fold

_PEOPLE = one_of("users? people persons? customers? clients? members? employees staff accounts? owners? tenants?")
_GENTE = one_of("usuari[oa]s? personas? clientes? miembros? emplead[oa]s? cuentas? demas duen[oa]s?")
_INSTRUCTIONS = one_of(
    """
    instructions? rules? prompts? guidelines? polic(?:y|ies) restrictions? safeguards? checks? instruccion(?:es)?
    reglas? indicacion(?:es)? ordenes politicas? restricciones limites
    """
)
_DROP = one_of(
    r"""
    ignor\w+ disregard\w* overrid\w+ bypass\w* forget skip drop obey olvid\w+ omit\w+ desobede\w+ salta\w* obedec\w+
    """
)
_SUSPICIOUS = re.compile(
    rf"""
      \b(?:all|every|any|other|another|each|no)\s(?:of\s)?(?:the\s|our\s|your\s)?(?:other\s)?{_PEOPLE}\b
    | \b(?:every|any)(?:one|body)\b | \bnobody\b | \bwhoever\b | \bpublicly\b
    | \b(?:tod[oa]s|cualquier|otr[oa]s?|cada|ningun[oa]?)\s(?:(?:l[oa]s|mis|sus|nuestr[oa]s)\s)?{_GENTE}\b
    | \bl[oa]s\s(?:otr[oa]s\s)?{_GENTE}\s(?:son|tienen|pueden|deben)\b
    | \btodo\sel\smundo\b | \btod[oa]s\sson\b | \bcualquiera\b | \bquien\ssea\b
    | \b(?:admins?|administrator\w*|administrador\w*|super-?users?|superusuari\w+|root|sudo)\b
    | \b(?:permissions?|privileges?|rights|access\s(?:to|rights|level)|(?:full|unrestricted)\saccess)\b
    | \b(?:is|are|was|were|be)\s(?:not\s)?(?:allowed|permitted|authori[sz]ed|entitled)\b
    | \b(?:permisos?|privilegios?|derechos|acceso|autorizad[oa]s?)\b
    | \b(?:pass(?:words?|codes?|phrases?)|credentials?|api[\s-]keys?|tokens?|secrets?|pins?)\b
    | \b(?:contrasenas?|credencial(?:es)?|claves?|secret[oa]s?)\b
    | \b{_DROP}\b[^.!?]{{0,40}}\b{_INSTRUCTIONS}\b
    | \b(?:system\s(?:prompt|message)|mensaje\sdel?\ssistema|jailbreak\w*)\b
    | \b(?:you\sare\s(?:now|from\snow)|(?:desde\s)?ahora\seres|eres\sahora|act\sas|actua\scomo)\b
    """,
    re.VERBOSE,
)
_SECRET = re.compile(
    r"\bpass(?:words?|codes?|phrases?)\b|\bcredentials?\b|\bapi[\s-]keys?\b|\btokens?\b|\bpins?\b|\bcvv\b"
    r"|\bcontrasenas?\b|\bcredencial(?:es)?\b|\bclaves?\b"
)
_NORM = re.compile(
    r"\b(?:must|should|shall|always|never|ought|have\sto|has\sto|need\sto|needs\sto|required|mandatory|important"
    r"|debes?|deben|debera\w*|hay\sque|tienes?\sque|tienen\sque|siempre|nunca|jamas|obligatori[oa]|importante"
    r"|remember|recuerda|recuerde)\b"
)
_GUESS = re.compile(
    r"\b(?:probably|perhaps|maybe|might|may\sbe|could\sbe|i\s(?:think|guess|suppose|assume|believe|suspect|imagine)"
    r"|it\s(?:seems|sounds|looks)|you\s(?:seem|sound)|presumably|likely|must\sbe|i\swould"
    r"|probablemente|quizas?|tal\svez|a\slo\smejor|creo|supongo|imagino|parece|pareces|seguramente|sera\sque|yo\s\w+ria)\b"
)
_OWN = re.compile(r"\b(?:i|i'm|i've|my|me|yo|mi|mis|soy|tengo|estoy)\b")
_ORDERS = re.compile(
    r"^(?:please\s|por\sfavor,?\s|also,?\s|and\s|now,?\s)*"
    r"(?:remember|note|save|store|memori[sz]e|keep|treat|consider|give|grant|let|allow|make|ignore|forget|act|from\snow\son"
    r"|always|never|recuerda|recuerde|anota|anote|guarda|guarde|memoriza|trata|considera|da|dale|permite|haz|ignora|olvida"
    r"|actua|desde\sahora|a\spartir\sde\sahora|siempre|nunca)\b"
)


def suspicious(text: str) -> bool:
    """Say whether a text speaks of rights, secrets, everybody or instructions."""
    return bool(_SUSPICIOUS.search(_plain(text)))


def holds_a_secret(text: str) -> bool:
    """Say whether a text may hold a password: that is nobody's memory."""
    return bool(_SECRET.search(_plain(text)))


def prescribes(text: str) -> bool:
    """Say whether a text says what must be done: only a user may say that."""
    return bool(_NORM.search(_plain(text)))


def guesses(text: str) -> bool:
    """Say whether a text only supposes."""
    return bool(_GUESS.search(_plain(text)))


def tells_of_oneself(text: str) -> bool:
    """Say whether somebody states something of their own, rather than orders something."""
    plain = _plain(text)
    return bool(_OWN.search(plain)) and not _ORDERS.search(plain)


def _plain(text: str) -> str:
    return " ".join(fold(text).replace("\u2019", "'").split())
