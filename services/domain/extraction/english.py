"""How people word in English what is worth keeping. Small on purpose: each pattern wants the speaker as its subject."""

import re

from services.domain.extraction.wording import MONTH, Phrases, any_word, not_after, one_of, slots
from services.domain.words import word_set

_I = not_after("if when what who where how why while than as before after until unless whenever whether") + r"\bi "
_WE = not_after("if when what who where how why while than as before after until unless whenever whether") + r"\bwe "
_ADVERBS = (
    "(?:"
    + one_of(
        "also now only mostly usually often really both always never normally mainly no_longer do_not can_not can_only"
    )
    + " )*"
)
_DONE = "(?:" + one_of("have just already finally also then") + " )*"
_OBJECT = (
    r"(?!"
    + one_of("it that this them you your these those how what when so the_idea")
    + r"\b|to (?:know|see|hear|ask)\b)"
)
# What one has for a moment, and the perfect tense.
_HELD = (
    "(?!(?:" + one_of("a an the some any no two three another one more little quick last small big") + " )*"
    + one_of(
        """
        questions? doubts? problems? issues? ideas? minutes? moments? seconds? time favou?rs? requests? look feeling
        chance nothing something everything one more point news choice concerns? headache cold fever fun luck hurry
        clue draft good great nice lot bit to been seen had done got gone
        """
    )
    + r"\b|\w+ed\b)"
)  # fmt: skip
_STATES = one_of(
    """
    live work study teach own run sell speak play like love hate dislike prefer drink eat drive rent collect smoke
    belong grew_up come_from volunteer
    """
)
_AM = one_of(
    """
    from allergic intolerant vegetarian vegan married divorced single retired diabetic coeliac celiac pregnant
    colou?r-?blind deaf left-handed based_in responsible_for in_charge_of lactose born
    """
)
_PAST = one_of(
    """
    booked bought sold signed paid moved hired quit resigned cancelled canceled decided chose chosen agreed accepted
    rejected registered enrolled graduated married adopted joined renewed ordered filed declared founded opened closed
    received passed failed visited travelled traveled started finished won lost launched switched appointed
    """
)
_DECIDED = one_of(
    """
    taking booking moving buying selling signing leaving starting quitting cancelling canceling marrying hiring opening
    closing renewing switching going_with flying getting_married
    """
)
_TO_YOU = one_of("i we you it that my the is are was can what how")

PHRASES = Phrases(
    hearsay=any_word("said says told tells wrote writes asked according_to"),
    not_so=re.compile(
        r"^if\b|\b"
        + one_of(
            """
            would might maybe perhaps wish hope hoping wonder wondering could can_you help_me tell_me let_me_know
            show_me let_us let's probably suppose imagine for_example as_if what_if
            """
        )
        + r"\b|\b(?:i|we) (?:am |are )?"
        + one_of(
            """
            think guess suppose want need should forgot not_sure thinking trying looking wondering asking considering
            hoping about_to
            """
        )
        + r"\b"
    ),
    of_the_hour=any_word(
        """
        today tonight right_now at_the_moment just_now this_morning this_afternoon this_evening this_week tomorrow
        yesterday still yet so_far in_a_minute in_a_moment for_now
        """
    ),
    not_own_words=re.compile(
        r"\b"
        + one_of(
            "translate proof-?read rewrite paraphrase summari[sz]e correct_this correct_the_following following_text"
        )
        + r"\b|\bwrite (?:me )?an? (?:story|poem|letter|speech|essay)\b|\b(?:pretend|imagine|role-?play)\b"
    ),
    rules=(
        # Without a subject before them these are orders.
        re.compile(
            r"(?:^|[,;:.!] ?|\b(?:please|and|but|then|so|also|should|must|to) )(?:please )?(?:always|never) "
            r"(?!been|have|had|was|were|is|are|mind|again|in)\w+"
        ),
        re.compile(
            r"\b(?:from now on|in (?:the )?future|from today on),? (?:please )?(?!i\b|we\b|my\b|our\b|the\b)\w+"
        ),
        re.compile(
            r"\b(?:if|when|whenever|every time|each time) (?:you|i ask)\b[^,]*,\s?(?:please |then )?(?!"
            + _TO_YOU
            + r"\b)\w+"
        ),
        re.compile(
            r"\bplease (?:do not|never) (?:ever )?"
            + one_of("call use send write mention suggest remind include answer ask")
            + r"\b"
        ),
    ),
    to_remember=re.compile(
        r"(?:^|[,;:.!] ?|\b(?:please|and|also) )"
        + one_of("remember_that note_that keep_in_mind_that do_not_forget_that make_a_note_that for_the_record,?")
        + " "
    ),
    slots={
        "name": re.compile(r"\bmy (?:full )?name is\b"),
        "home": re.compile(_I + r"(?:now |currently )?live (?:in|at|on|with)\b"),
        "work": re.compile(_I + r"(?:now )?work (?:at|for|as)\b"),
        "birthday": re.compile(r"\bi was born (?:on|in)\b"),
    },
    only_one=slots(
        {
            "address": "address",
            "phone": "phone telephone mobile",
            "email": "email e-mail",
            "birthday": "birthday",
            "age": "age",
            "job": "job occupation profession",
            "salary": "salary wage",
            "budget": "budget",
            "limit": "limit",
            "rent": "rent",
            "diet": "diet",
            "schedule": "schedule",
            "boss": "boss manager",
            "accountant": "accountant",
            "doctor": "doctor",
            "dentist": "dentist",
            "landlord": "landlord landlady",
            "wife": "wife",
            "husband": "husband",
            "partner": "partner",
            "bank": "bank",
            "tax_regime": "regime",
        }
    ),
    moved=re.compile(r"\b(?:I|We)(?:\s(?:have|just|finally|already)|'ve)*\smoved\s(?:back\s)?to\s[A-Z]"),
    events=(
        re.compile("(?:" + _I + "|" + _WE + ")" + _DONE + _PAST + " " + _OBJECT),
        re.compile(
            r"\b(?:i am|we are) (?:now |also |definitely |finally )*"
            + _DECIDED
            + " "
            + _OBJECT
            + r"(?!care\b|notes?\b|a look\b)"
        ),
        re.compile(
            r"\b(?:i|we) (?:have )?(?:just )?got (?:an? |the |my |our |two |three |\d+ )?"
            + one_of("offers? quotes? married divorced engaged hired promoted job visa loan permit")
            + r"\b"
        ),
    ),
    first_person=any_word("i we my our"),
    states=(
        re.compile(_I + _ADVERBS + _STATES + r"\s" + _OBJECT),
        re.compile(_I + _ADVERBS + r"have (?:no |got )?" + _HELD),
        re.compile(
            _I
            + "am "
            + _ADVERBS
            + r"(?:not )?(?:(?:an?|the|one of) (?!"
            + one_of("bit little lot while mess fool fan_of one same")
            + r"\b)|"
            + _AM
            + r"\b|\d+ years old)"
        ),
        # Of a company, where the room is one's.
        re.compile(
            _WE
            + _ADVERBS
            + "(?:"
            + one_of("sell make offer ship invoice employ import export use open close work")
            + r"\b|have "
            + _HELD
            + "|are (?:an?|based in|registered|closed|open)\b)"
        ),
        re.compile(
            r"\b(?:the|my|our) (?:company|firm|business|shop) (?:now |only )*"
            + one_of("is has uses sells opens closes works pays ships")
            + r"\b"
        ),
    ),
    things=(
        re.compile(
            r"\b(?:my|our) (?P<thing>(?:[a-z-]+ ){0,2}[a-z-]+?)(?:'s name)? (?:now |also |only )*"
            + one_of("is are lives? works? has speaks? opens? closes? weighs? costs? belongs? was_born")
            + r"\s(?!"
            + one_of(
                """
                not_sure to that how what whether if on_holiday on_vacation late ready here back busy sick ill tired
                broken dead done fine ok okay gone full empty wrong right away out
                """
            )
            + r"\b)"
        ),
    ),
    passing_things=word_set(
        """
        question questions point problem idea guess bad fault concern understanding turn pleasure answer hope thought
        mistake issue worry way head best only main first last next apologies
        """
    ),
    continuous=re.compile(
        r"\b(?:is|are|am) (?:\w+ly |not |just )*(?!nothing|evening|morning|wedding|ceiling|building)\w{2,}ing\b"
    ),
    called=re.compile(r"\b(?:an?|one|my|our) (?:\w+ ){1,3}?(?:called|named) [A-Z]\w+"),
    changes=any_word(
        """
        moved_to no_longer not_any_?more not_\\w+_any_?more instead changed switched replaced from_now_on as_of new
        from_\\w+_on used_to stopped quit now cancelled canceled postponed brought_forward is_over
        """
    ),
    undone=any_word("instead cancelled canceled postponed brought_forward called_off"),
    goes_on=re.compile(r"^(?:he|she|they|it|its|his|her|their) "),
)
CALENDAR_DAY = re.compile(
    rf"\b\d{{1,2}}(?:st|nd|rd|th)? +(?:of |de )?(?:{MONTH})\b|\b(?:{MONTH}) (?:the )?\d{{1,2}}(?:st|nd|rd|th)?\b"
)
IN_A_MONTH = re.compile(rf"\b(?:in|en|by|since|desde|until|hasta|next|proximo) (?:{MONTH})\b")
