"""Word lists of the grounding check, English and Spanish, folded (no case, no accents)."""

from services.domain.languages import FUNCTION_WORDS
from services.domain.words import fold, stem, word_set


def _numbered(first: int, text: str) -> dict[str, int]:
    """Number groups of synonyms: `a/b c` is a and b for the first number, c for the next."""
    return {word: number for number, group in enumerate(text.split(), start=first) for word in group.split("/") if word}


MONTHS = _numbered(
    1,
    "january/enero/jan/ene february/febrero/feb march/marzo april/abril/apr/abr may/mayo june/junio/jun july/julio/jul"
    " august/agosto/aug/ago september/septiembre/setiembre/sep/sept october/octubre/oct november/noviembre/nov"
    " december/diciembre/dec/dic",
)
# These stand for a month by themselves only where a capital says so; the short forms only beside a day or a year.
DOUBTFUL_MONTHS = word_set("may march")
LONG_MONTHS = frozenset(
    month for month in MONTHS if len(month) > len("sept") or month in {"may", "june", "july", "mayo"}
)
WEEKDAYS = _numbered(
    0,
    "monday/mondays/mon/lunes tuesday/tuesdays/tue/martes wednesday/wednesdays/wed/miercoles"
    " thursday/thursdays/thu/jueves friday/fridays/fri/viernes saturday/saturdays/sabado/sabados"
    " sunday/sundays/domingo/domingos",
)
RELATIVE_DAYS = _numbered(-1, "yesterday/ayer today/tonight/hoy tomorrow/manana")

NUMBERS = _numbered(
    1,
    "one two/dos three/tres four/cuatro five/cinco six/seis seven/siete eight/ocho nine/nueve ten/diez eleven/once"
    " twelve/doce thirteen/trece fourteen/catorce fifteen/quince sixteen/dieciseis seventeen/diecisiete"
    " eighteen/dieciocho nineteen/diecinueve twenty/veinte veintiuno veintidos veintitres veinticuatro veinticinco"
    " veintiseis veintisiete veintiocho veintinueve thirty/treinta",
) | {
    "forty": 40, "cuarenta": 40, "fifty": 50, "cincuenta": 50, "sixty": 60, "sesenta": 60, "seventy": 70, "setenta": 70,
    "eighty": 80, "ochenta": 80, "ninety": 90, "noventa": 90, "cien": 100, "ciento": 100,
}  # fmt: skip
SCALES = {
    "hundred": 100, "thousand": 1_000, "mil": 1_000, "k": 1_000,
    "million": 1_000_000, "millions": 1_000_000, "millon": 1_000_000, "millones": 1_000_000,
}  # fmt: skip
ONE = word_set("a an un una uno")

NEGATORS = word_set(
    """
    not no never without cannot nor neither none nobody nothing nunca jamas sin tampoco ni ningun ninguna nadie
    """
)
CONTRASTS = word_set("but however although pero sino aunque")
JOINERS = word_set(
    """
    and or y e o u while who which where because so if that que porque donde mientras quien si cuando when
    """
)
FROM = word_set("from desde de del")
TO = word_set("to into towards a al hacia hasta")
PLAIN_FROM = word_set("from desde")
PRONOUNS = word_set(
    """
    he she it they his her its their this that these those ella ellos ellas eso esto su sus le les lo
    """
)

STOP_WORDS = frozenset(
    fold(word) for language in ("english", "spanish") for word in FUNCTION_WORDS[language]
) | word_set(
    """
    its him them us whose whom while because or nor both each every other another such own same more most less
    least few now still yet even ever again up out down over under off back after before during between through
    per via around since until although though whether however also well really quite could may might must shall
    one ones etc lot lots thing things fue fueron sido siendo ser soy eres somos sera seria estaba estaban
    estuvo este estan habia tenia tuvo tener hace ante bajo cada cual cuales cuyo durante ello ellas entonces
    mientras mismo misma otro otra otros otras pues segun solo tan tanto aun aunque sea sean nuestra nuestro vez
    veces cosa cosas asi ahi alli bien aquel aquella hacia tal
    """
)
REPORTING_WORDS = word_set(
    """
    user assistant person speaker human bot ai conversation chat talk message summary information detail
    question topic tool answer reply response request ask say said tell mention explain discuss talk state
    note suggest recommend advise inform confirm respond provide share report describe clarify agree
    acknowledge offer thank remind add inquire wonder express indicate include want need wish help let
    let's able give prefer call name specific regarding related additionally finally currently usuario
    usuaria asistente persona conversacion charla mensaje resumen informacion detalle pregunta tema
    herramienta respuesta solicitud preguntar preguntaron decir mencionar explicar hablar indicar comentar
    sugerir recomendar informar confirmar responder contestar pedir solicitar compartir describir aclarar
    agradecer querer necesitar poder ofrecer expresar incluir senalar preferir llamar nombre ademas luego
    despues finalmente actualmente ayudar
    """
)
REPORTING = frozenset(stem(word) for word in REPORTING_WORDS)
ASKING = frozenset(
    stem(word)
    for word in word_set(
        """
    ask question request inquire wonder want need suggest recommend offer preguntar pregunta pedir solicitar
    consultar querer necesitar sugerir recomendar ofrecer
    """
    )
)
WH_WORDS = word_set(
    """
    who whose where when how which que quien quienes donde cuando cuanto cuanta cuantos cual como
    """
)
MODALS = word_set(
    """
    if can could should would might may si puedo puede podria podemos debo deberia conviene
    """
)
NO = word_set("no nope nah")
YES = word_set(
    """
    yes yeah yep sure exactly correct right ok okay si claro exacto correcto dale
    """
)
UNITS = frozenset(
    stem(word)
    for word in word_set(
        """
    euro euros dollar dollars peso pesos sol soles percent month months year years day days hour hours minute
    minutes week weeks usd eur pen clp por ciento mes meses ano anos dia dias hora horas minuto minutos semana
    semanas km kg
    """
    )
)
