"""How people word in Spanish what is worth keeping. Small on purpose: the verb has to be in the first person.

Accents are folded away but in `events`: only they tell `pagué` from `pague`, so whoever writes without them is missed.
"""

import re

from services.domain.extraction.wording import Phrases, any_word, not_after, one_of, slots
from services.domain.words import word_set

# A verb in the first person, and no noun, nor a part of another clause.
_YO = not_after("si cuando donde como mientras el la un mi tu su del de al lo_que mucho todo buen") + r"\b"
_ORDER = one_of(
    r"""
    usa use usar responde responda contesta conteste escribe escriba envia envie manda mande redondea redondee avisa
    avise llama trata habla hable pon ponga incluye incluya evita evite elige elija muestra muestre agrega agregue
    empieza empiece termina termine firma firme revisa revise pregunta pregunte \w{3,}(?:me|nos|melo|mela|noslo)
    no_(?:me|nos|uses?|incluyas?|pongas?|escribas?|mandes?|envies?|llames?|agregues?)
    """
)
_FROM_NOW = one_of("siempre nunca jamas de_ahora_en_adelante a_partir_de_ahora")
_HELD = (
    "(?!(?:"
    + one_of("una? un[oa]s otr[oa]s? much[oa]s? algun[oa]s? el la poc[oa] tant[oa]")
    + " )*"
    + one_of(
        """
        que preguntas? dudas? problemas? prisa hambre sueno frio calor tiempo ganas razon idea consultas? cosas? momento
        minutos? plazo fiebre dolor miedo claro entendido pensado listo lista suerte
        """
    )
    + r"\b)"
)
_PAST = one_of(
    """
    compré vendí pagué reservé firmé declaré contraté acepté rechacé cancelé decidí elegí empecé terminé mudé cambié
    registré inscribí recibí perdí gané viajé visité nací adopté renuncié jubilé casé divorcié titulé gradué abrí cerré
    facturé emití presenté arrendé alquilé renové fundé contratamos decidimos acordamos firmamos compramos
    """
)

PHRASES = Phrases(
    hearsay=any_word("dijo dice dicen dijeron segun escribio conto cuenta_que"),
    not_so=re.compile(
        r"^si\b|\b"
        + one_of(
            r"""
            quizas? tal_vez a_lo_mejor creo supongo ojala espero me_gustaria quisiera podria\w* querria deberia\w*
            pienso puedes podrias ayudame dime cuentame muestrame quiero necesito no_se no_estoy_segur[oa] tengo_que
            por_ejemplo como_si estoy_(?:pensando|buscando|viendo|tratando)
            """
        )
        + r"\b"
    ),
    of_the_hour=any_word(
        """
        hoy ahora_mismo en_este_momento esta_manana esta_tarde esta_noche esta_semana manana ayer todavia aun por_ahora
        un_rato
        """
    ),
    not_own_words=re.compile(
        r"\b"
        + one_of(r"traduce\w* traduzca traducir corrige\w* reescribe\w* resume(?:me)? siguiente_texto imagina finge")
        + r"\b|\bhaz de cuenta\b|\bescrib\w+ un (?:cuento|poema|discurso|ensayo)\b"
    ),
    rules=(
        re.compile(rf"\b{_ORDER}\b[^.;]{{0,60}}\b{_FROM_NOW}\b"),
        re.compile(rf"(?:^|[,;:.!] ?|\b(?:y|pero|favor|entonces) ){_FROM_NOW},? (?:por favor,? )?(?:que )?{_ORDER}\b"),
        re.compile(rf"\b(?:cuando|cada vez que|si) (?:me|te|nos) [^,]*,\s?(?:por favor,? )?{_ORDER}\b"),
        re.compile(r"\b(?:nunca|jamas) (?:me|nos) \w+es\b"),
    ),
    to_remember=re.compile(
        r"(?:^|[,;:.!] ?|\b(?:entonces|favor|y) )"
        + one_of("anota anote apunta recuerda recuerde ten_en_cuenta no_olvides que_conste")
        + " que "
    ),
    slots={
        "name": re.compile(r"\bmi nombre es\b|\bme llamo\b"),
        "home": re.compile(_YO + r"(?<!\bno )vivo (?:en|con)\b"),
        "work": re.compile(_YO + r"(?<!\bno )trabajo (?:como|para)\b"),
        "birthday": re.compile(r"\bcumplo anos el\b|\bnaci (?:el|en)\b"),
        "tax_regime": re.compile(r"\best(?:oy|amos) en el regimen\b"),
    },
    only_one=slots(
        {
            "address": "direccion domicilio",
            "phone": "telefono celular fono",
            "email": "correo mail",
            "birthday": "cumpleanos",
            "age": "edad",
            "job": "oficio profesion",
            "salary": "sueldo salario",
            "budget": "presupuesto",
            "limit": "tope limite",
            "rent": "arriendo alquiler",
            "diet": "dieta",
            "schedule": "horario",
            "boss": "jefe jefa",
            "accountant": "contador contadora",
            "doctor": "doctor doctora",
            "dentist": "dentista",
            "landlord": "arrendador arrendadora",
            "wife": "esposa",
            "husband": "esposo marido",
            "partner": "pareja",
            "bank": "banco",
            "tax_regime": "regimen",
        }
    ),
    moved=re.compile(r"\b[Mm]e mud\u00e9 a [A-Z]"),
    events=(
        re.compile(not_after("si cuando") + r"\b(?:ya |recién |finalmente |por fin )?(?:me )?" + _PAST + r"\b"),
        re.compile(r"\bme (?:mudo|caso|cambio|jubilo|traslado) (?:a|en|con|de|el)\b"),
        re.compile(r"\bme quedo con\b|\bvoy a (?:tomar|arrendar|comprar|contratar|mudarme|casarme)\b"),
    ),
    first_person=any_word("mi mis me nos nuestr[oa]s? voy vamos tengo tenemos"),
    states=(
        re.compile(
            _YO
            + one_of("vivo enseno vendo soy(?!_yo\\b) hablo prefiero odio uso bebo manejo arriendo alquilo fumo")
            + r"\s(?!lo\b|eso\b|con (?:usted|vos)\b)"
        ),
        re.compile(_YO + r"(?:trabajo|estudio|juego) (?:en|como|para|con|de|a|desde|solo|los|las|media)\b"),
        re.compile(_YO + r"(?<!\bque )tengo " + _HELD),
        re.compile(r"\b(?:porque|ya que|anota que|recuerda que) tengo " + _HELD),
        re.compile(
            _YO + r"no (?:como|tomo|bebo|puedo (?:comer|tomar|beber|usar)|uso|fumo|manejo|tengo (?=" + _HELD + r"))\b"
        ),
        re.compile(
            _YO + "ya no " + one_of("como tomo bebo uso fumo vivo trabajo manejo vendo tengo estudio voy") + r"\b"
        ),
        re.compile(
            r"\bme (?:gustan?|encantan?|dedico) (?!" + one_of("que la_idea eso asi como mas esta?") + r"\b|mucho\s?$)"
        ),
        re.compile(r"\bllevo \w+ (?:anos?|meses)\b"),
        re.compile(
            r"\bestoy "
            + one_of("casad[oa] jubilad[oa] divorciad[oa] embarazada inscrit[oa] registrad[oa] suscrit[oa] acogid[oa]")
            + r"\b"
        ),
        # Of a company, where the room is one's.
        any_word(
            """
            vendemos ofrecemos facturamos fabricamos importamos exportamos despachamos atendemos usamos trabajamos
            abrimos cerramos somos
            """
        ),
        re.compile(
            r"\b(?:la|mi|nuestra) (?:empresa|sociedad|tienda|pyme) (?:ahora |solo )*"
            + one_of("es tiene usa vende abre cierra trabaja paga despacha tributa")
            + r"\b"
        ),
    ),
    things=(
        re.compile(
            r"\b(?:mis?|nuestr[oa]s?) (?P<thing>(?:[a-z-]+ ){0,2}?[a-z-]+?) (?:ahora |tambien |solo |ya no )*"
            + one_of(
                "se_llaman? es son viven? trabajan? tienen? abre cierra pesa cuesta habla queda esta_en cumple nacio"
            )
            + r"\s(?!que\b|como\b|si\b|cual\b)"
        ),
        re.compile(r"\bes (?:mi|nuestr[oa]) (?P<thing>[a-z]+)\b"),
    ),
    passing_things=word_set(
        """
        pregunta preguntas duda dudas problema punto opinion error culpa consulta turno respuesta cabeza mejor unica
        unico primera proxima
        """
    ),
    continuous=re.compile(r"\besta \w+(?:ando|iendo)\b"),
    called=re.compile(r"\b(?:una?|mi|nuestr[oa]) (?:\w+ ){1,3}?(?:llamad[oa]|que se llama) [A-Z]\w+"),
    changes=any_word(
        """
        ya_no ahora cambio cambie cambiamos cambiaron en_vez_de en_lugar_de a_partir_de desde_ahora deje_de dejo_de
        nuev[oa] se_cancelo se_paso paso_a pasa_a se_movio quedo_para se_postergo cancele
        """
    ),
    undone=any_word("cancele cancelamos se_cancelo se_postergo en_vez_de en_lugar_de"),
    goes_on=re.compile(r"^(?:ella|el|ellos|ellas|tiene) "),
)
