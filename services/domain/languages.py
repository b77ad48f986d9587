"""Which language a text is in, named as Postgres names its text-search configurations.

Function words decide, and letters that only one language has. A word that several languages share counts for each of
them in part, so that `de` or `la` alone decide nothing.
"""

import re
from typing import Literal

Language = Literal["english", "spanish", "portuguese", "french", "german", "italian", "simple"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION_WORDS: dict[Language, frozenset[str]] = {
    "english": _words(
        """
        the a an and or but if then than of to in on at for with from by about into as is are was were be been am do
        does did have has had will would can could should i you he she it we they me my your his her our their this
        that these those there here what which who when where why how not no yes please thanks thank hello hi don't
        i'm it's isn't i've i'd let's that's can't doesn't didn't won't just some any all so too very much many only
        """
    ),
    "spanish": _words(
        """
        el la los las un una unos unas y o pero si que de del al a en con por para sin sobre como es son era fue ser
        estar está están estoy he ha han hay haber tengo tiene tienes quiero puede puedes puedo yo tú él ella usted
        nosotros ellos me te se lo le les nos mi mis tu tus su sus este esta estos eso ese esa aquí qué cuál cuánto
        cuándo dónde cómo quién no sí ya muy más también gracias hola favor buenos buenas días hoy mañana ayer
        siempre nunca porque cuando donde entre hasta desde todo todos algo
        """
    ),
    "portuguese": _words(
        """
        o a os as um uma uns umas e ou mas se que de do da dos das no na nos nas ao em com por para sem sobre como é
        são era foi ser estar está estão estou tenho tem têm quero pode posso eu você ele ela nós eles me te lhe meu
        minha seu sua este esta isso esse essa aqui qual quanto quando onde quem não sim já muito mais também
        obrigado obrigada olá oi hoje amanhã ontem sempre nunca porque até tudo pelo pela
        """
    ),
    "french": _words(
        """
        le la les un une des et ou mais si que de du au aux à en dans avec pour par sans sur comme est sont était
        être suis ai as a ont avoir je tu il elle nous vous ils me te se lui mon ma mes ton ta son sa ses ce cette
        ces ici quel quelle qui quand où comment pourquoi ne pas non oui déjà très plus aussi merci bonjour salut
        aujourd'hui demain hier toujours jamais parce c'est j'ai n'est d'un qu'il
        """
    ),
    "german": _words(
        """
        der die das den dem des ein eine einen einem und oder aber wenn dass von zu zum zur in im an am auf mit für
        aus bei ohne über als wie ist sind war waren sein bin habe hat haben wird werden kann können ich du er sie
        es wir ihr mich mir dich dir uns mein meine dein ihre dieser diese hier was welche wer wann wo warum nicht
        kein keine nein ja schon sehr mehr auch danke bitte hallo heute morgen gestern immer nie noch nur
        """
    ),
    "italian": _words(
        """
        il lo la i gli le un uno una e o ma se che di del della dei al alla a in nel nella con per da dal senza su
        come è sono era essere ho ha hai hanno avere io tu lui lei noi voi loro mi ti si ci mio mia tuo suo sua
        questo questa qui quale quanto quando dove chi perché non no sì già molto più anche grazie ciao buongiorno
        oggi domani ieri sempre mai tutto c'è
        """
    ),
}
LETTERS: dict[Language, str] = {
    "spanish": "ñ¿¡",
    "portuguese": "ãõ",
    "french": "œêîû",
    "german": "ßäü",
    "italian": "ìò",
}
LETTER_WEIGHT = 1.5
ENOUGH = 1.0  # one word that no other language has
LEAD = 0.5
SHARE = 0.04  # of the words: a name or a quotation does not make a long text foreign
MOST = 2_000  # characters read

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_LATIN_END = 0x250
_LANGUAGES_OF: dict[str, tuple[Language, ...]] = {
    word: tuple(language for language, words in FUNCTION_WORDS.items() if word in words)
    for word in frozenset[str]().union(*FUNCTION_WORDS.values())
}


def language_of(text: str, default: Language = "simple") -> Language:
    """Name the language of `text`; answer `default` when it is too short or mixed to say.

    Text in another script than Latin is `simple`: none of the six stemmers knows it.
    """
    sample = text[:MOST].casefold().replace("\u2019", "'")
    words = _WORD.findall(sample)
    if not words:
        return default
    if not sample.isascii() and 2 * sum(1 for word in words if ord(word[0]) >= _LATIN_END) > len(words):
        return "simple"
    scores = _scores(sample, words)
    best = max(scores, key=scores.__getitem__)
    *_, second, most = sorted(scores.values())
    return best if most >= max(ENOUGH, SHARE * len(words)) and most - second >= LEAD else default


def _scores(sample: str, words: list[str]) -> dict[Language, float]:
    scores: dict[Language, float] = dict.fromkeys(FUNCTION_WORDS, 0.0)
    counts: dict[str, int] = {}
    for word in words:
        if word in _LANGUAGES_OF:
            counts[word] = counts.get(word, 0) + 1
    for word, count in counts.items():
        languages = _LANGUAGES_OF[word]
        for language in languages:
            scores[language] += count / len(languages)
    if sample.isascii():
        return scores
    for language, letters in LETTERS.items():
        scores[language] += LETTER_WEIGHT * sum(1 for letter in letters if letter in sample)
    return scores
